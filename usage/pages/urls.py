"""The pages of a tenant, under /t/<ati_id>/."""

from django.urls import path

from usage.pages.activity.listing import ActivityExport, ActivityPage
from usage.pages.activity.operation import OperationPage
from usage.pages.explore import ExplorePage
from usage.pages.overview import OverviewPage
from usage.pages.people.limits import LimitRemoval, LimitsPage
from usage.pages.people.listing import PeoplePage
from usage.pages.people.person import PersonPage
from usage.pages.tokens.listing import TokenChange, TokensPage

app_name = "pages"
urlpatterns = [
    path("", OverviewPage.as_view(), name="overview"),
    path("explore/", ExplorePage.as_view(), name="explore"),
    path("activity/", ActivityPage.as_view(), name="activity"),
    path("activity/export/", ActivityExport.as_view(), name="activity-export"),
    path("activity/<uuid:log_id>/", OperationPage.as_view(), name="operation"),
    path("people/", PeoplePage.as_view(), name="people"),
    path("people/limits/", LimitsPage.as_view(), name="limits"),
    path("people/limits/<uuid:rule_id>/", LimitRemoval.as_view(), name="limit-removal"),
    path("people/<uuid:person_id>/", PersonPage.as_view(), name="person"),
    path("tokens/", TokensPage.as_view(), name="tokens"),
    path("tokens/<uuid:token_id>/", TokenChange.as_view(), name="token-change"),
]
