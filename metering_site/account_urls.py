"""How people get in and out: of allauth no more than what is used here. More of it comes with a path of its own."""

from allauth.account import views
from django.urls import path, re_path
from django.views.decorators.cache import never_cache
from django.views.generic import RedirectView

from plans.pages import SignUpPage
from tenants.pages import ProfilePage, ResetPage

urlpatterns = [
    path("signup/", SignUpPage.as_view(), name="account_signup"),
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("suspended/", views.account_inactive, name="account_inactive"),
    path("profile/", ProfilePage.as_view(), name="account_profile"),
    path("password/change/", never_cache(views.password_change), name="account_change_password"),
    # Whoever has no password yet gets one by mail.
    path("password/set/", RedirectView.as_view(pattern_name="account_reset_password"), name="account_set_password"),
    path("password/reset/", ResetPage.as_view(), name="account_reset_password"),
    path("password/reset/sent/", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        never_cache(views.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path("password/reset/done/", views.password_reset_from_key_done, name="account_reset_password_from_key_done"),
]
