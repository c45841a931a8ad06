"""Every tenant page opens for its owner, in both widths and without JavaScript errors."""

import pytest
from playwright.sync_api import Page

from tests import cast
from tests.browser.checks import check
from tests.browser.people import sign_in


@pytest.mark.parametrize("path", ["", "explore/", "activity/", "people/", "tokens/"])
def test_a_page_of_a_new_tenant_opens(page: Page, acme: cast.Company, path: str) -> None:
    sign_in(page, acme.owner.user)
    answer = page.goto(f"/t/{acme.tenant.ati_id}/{path}")
    assert answer is not None
    assert answer.status == 200
    check(page)
