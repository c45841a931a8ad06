"""Every column of the database that could name a user, as the database itself lists them.

A table is of a tenant where it has a tenant_id. One that has none is named here with the reason why no user can be
in it, or with the rows of it that are a tenant's: a test fails for a table that is neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.apps import apps

from tenants import database
from tenants.models import Tenant

WITHOUT_USERS = {
    "account_emailconfirmation": "keys alone; they go with their address",
    "auth_group": "roles of super admins",
    "auth_group_permissions": "roles of super admins",
    "auth_permission": "made from the models",
    "django_content_type": "made from the models",
    "django_migrations": "names of migrations",
    "django_session": "signed; the sessions of an erased person are removed",
    "plans_feature": "catalogue",
    "plans_llmmodel": "catalogue",
    "plans_modelclass": "catalogue",
    "plans_modelprice": "catalogue",
    "plans_plan": "catalogue",
    "plans_planfeature": "catalogue",
    "plans_planllmaccess": "catalogue",
    "plans_planllmaccessclass": "catalogue",
    "plans_provider": "catalogue",
    "plans_task": "catalogue",
    "tenants_configversion": "numbers",
    "tenants_tenant": "the customer, not one of its users",
    "usage_erasure": "forgets who it was when it is finished",
    "usage_rollupstate": "how far the roll-ups are",
}
LOG = "usage_usagelog"
_ADMIN_LOG = "django_admin_log"
# Of one person each; other people keep their names, whatever those are. Table -> the column with whose row it is.
_OF_PEOPLE = {
    "tenants_user": "id",
    "account_emailaddress": "user_id",
    "mfa_authenticator": "user_id",
    "socialaccount_socialaccount": "user_id",
}

# Text, JSON and lists of text; of a partitioned table the whole, and what was detached from it.
_COLUMNS = """
    SELECT c.table_name, c.column_name,
           CASE WHEN c.data_type = 'ARRAY' THEN 'texts'
                WHEN c.data_type IN ('json', 'jsonb') THEN 'json' ELSE 'text' END,
           COALESCE(c.character_maximum_length, 0),
           EXISTS (SELECT 1 FROM information_schema.columns t WHERE t.table_schema = c.table_schema
                    AND t.table_name = c.table_name AND t.column_name = 'tenant_id'),
           (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indrelid = k.oid AND i.indisprimary)
      FROM information_schema.columns c
      JOIN pg_class k ON k.relname = c.table_name AND k.relnamespace = current_schema()::regnamespace
     WHERE c.table_schema = current_schema() AND k.relkind IN ('r', 'p') AND NOT k.relispartition
       AND (c.data_type IN ('text', 'character varying', 'character', 'json', 'jsonb')
            OR (c.data_type = 'ARRAY' AND c.udt_name IN ('_text', '_varchar', '_bpchar')))
     ORDER BY c.table_name, c.ordinal_position
"""

# On the user's own rows the callers' words go altogether: nobody can tell what they say of the user.
_OWN = {
    "metadata": "CASE WHEN {t}.user_key = %(key)s THEN NULL ELSE {words} END",
    "correlation_id": "CASE WHEN {t}.user_key = %(key)s THEN NULL ELSE {words} END",
    "error": "CASE WHEN {t}.user_key = %(key)s THEN NULL ELSE {words} END",
    "idempotency_key": "CASE WHEN {t}.user_key = %(key)s AND position(%(key)s IN {t}.idempotency_key) > 0 "
    "THEN %(pseudonym)s || '-' || {t}.id ELSE {words} END",
}
# An event is its log row's user's.
_OF_EVENT = (
    "CASE WHEN position(%(key)s IN {t}.{column}) > 0 AND EXISTS (SELECT 1 FROM usage_usagelog l WHERE "
    "l.tenant_id = {t}.tenant_id AND l.id = {t}.log_id AND l.user_key IN (%(key)s, %(pseudonym)s)) "
    "THEN %(pseudonym)s || '-' || {t}.id ELSE {words} END"
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `kind` is text, json or texts, `longest` 0 where there is no bound."""

    name: str
    kind: str
    longest: int

    def erased(self, table: str, *, has_users: bool) -> str:
        """SQL of what an erasure makes of it: %(key)s, %(pattern)s and %(pseudonym)s."""
        t = '"t"'
        column = f"{t}.{self.name}"
        if self.name == "user_key":
            return f"CASE WHEN {column} = %(key)s THEN %(pseudonym)s ELSE {column} END"
        if self.kind == "json":
            words = f"ledger_erased_json({column}, %(key)s, %(pattern)s, %(pseudonym)s)"
        elif self.kind == "texts":
            words = f"ledger_erased_texts({column}::text[], %(pattern)s, %(pseudonym)s)"
        else:
            words = f"ledger_erased_text({column}, %(pattern)s, %(pseudonym)s)"
            words = f"left({words}, {self.longest})" if self.longest else words
        if table == "usage_usageevent" and self.name in ("source", "event_id"):
            return _OF_EVENT.format(t=t, column=self.name, words=words)
        return _OWN[self.name].format(t=t, words=words) if has_users and self.name in _OWN else words

    def differs(self, table: str, *, has_users: bool) -> str:
        """SQL of whether it names the user."""
        cast = "::text[]" if self.kind == "texts" else ""
        return f'"t".{self.name}{cast} IS DISTINCT FROM {self.erased(table, has_users=has_users)}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with columns that could name a user; `rows` is SQL of which of them are %(tenant)s's, of "t"."""

    name: str
    key: str
    rows: str
    columns: Sequence[Column]

    @property
    def has_users(self) -> bool:
        """Whether its rows are somebody's."""
        return any(column.name == "user_key" for column in self.columns)


def tables() -> list[Table]:
    """Those in which a tenant's users may be named. Raises LookupError for one of which that is not decided."""
    found: dict[str, list[Column]] = {}
    of_tenants: dict[str, tuple[bool, str]] = {}
    for table, column, kind, longest, has_tenant, key in database.rows(_COLUMNS):
        found.setdefault(table, []).append(Column(column, kind, longest))
        of_tenants[table] = has_tenant, key
    undecided = [
        table
        for table, (has_tenant, _) in of_tenants.items()
        if not has_tenant and table not in (*WITHOUT_USERS, *_OF_PEOPLE, _ADMIN_LOG)
    ]
    if undecided:
        raise LookupError(f"Whether {', '.join(undecided)} can name a user is not decided in usage/erasure/places.py.")
    return [
        Table(
            name=table,
            key=of_tenants[table][1],
            rows=_rows(table),
            columns=columns,
        )
        for table, columns in found.items()
        if table not in WITHOUT_USERS
    ]


def _rows(table: str) -> str:
    if table == _ADMIN_LOG:
        return _admin_log_rows()
    if table in _OF_PEOPLE:
        mine = "SELECT id FROM tenants_user WHERE tenant_id = %(tenant)s AND id::text = %(key)s"
        return f'"t".{_OF_PEOPLE[table]} IN ({mine})'
    return '"t".tenant_id = %(tenant)s'


def _admin_log_rows() -> str:
    """What the people of a tenant did, and what was done to what is the tenant's."""
    parts = ['"t".user_id IN (SELECT id FROM tenants_user WHERE tenant_id = %(tenant)s)']
    for model in apps.get_models():
        fields = {field.name: field for field in model._meta.get_fields()}
        if model._meta.managed and getattr(fields.get("tenant"), "related_model", None) is Tenant:
            parts.append(
                f'("t".content_type_id = (SELECT id FROM django_content_type WHERE app_label = '  # noqa: S608 - of models
                f"'{model._meta.app_label}' AND model = '{model._meta.model_name}') AND \"t\".object_id IN "
                f"(SELECT {model._meta.pk.column}::text FROM {model._meta.db_table} WHERE tenant_id = %(tenant)s))"
            )
    return f"({' OR '.join(parts)})"
