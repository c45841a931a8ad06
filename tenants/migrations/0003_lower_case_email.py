import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_composite_keys")]

    operations = [
        migrations.RemoveConstraint(
            model_name="user",
            name="tenants_user_email",
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(fields=("email",), name="tenants_user_email"),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("email", django.db.models.functions.text.Lower("email"))),
                name="tenants_user_email_lower_case",
            ),
        ),
    ]
