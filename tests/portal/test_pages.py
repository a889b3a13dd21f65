"""What holds for each kind of visitor: by keyboard, without scripts, refused, and with a wrong form."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Page

from salerno.permits.model import Case, DataScope, Outcome
from salerno.permits.pages.forms import empty_application
from salerno.permits.rules import CURRENT, confirmations, sheet_of
from salerno.web.callers import Caller
from tests.portal.space import PASSWORD, Space

pytestmark = pytest.mark.serial

ODILE = Caller(kind="person", id="x", name="Odile", roles=frozenset({"officer"}))


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.innerText"))


def tab_to(page: Page, what: str, most: int = 25) -> None:
    """Press Tab until the element of this id or text has the focus, which must be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page) == what:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", f"the focus on {what} cannot be seen"
            return
    raise AssertionError(f"{what} cannot be reached by keyboard, the focus is on {focused(page)}")


def file_application(space: Space, iri: str, title: str) -> Case:
    """An application of Rosa's for one data set in France, as it lies at the access body."""
    hub, body, lyon = (space.nodes[n] for n in ("hub", "body-fr", "lyon"))
    scope = DataScope(dataset=iri, holder=lyon.own.did, country="FR", tables={"heart": ("age", "sex")})
    application = replace(
        empty_application(f"{hub.own.did}#rosa", "Rosa Weber"),
        title=title,
        applicant="University of Salerno",
        contact_email="rosa@example.eu",
        intended_use="To compare",
        expected_benefit="Safer treatment",
        safeguards="Only sums leave",
        data=(scope,),
        answers=dict.fromkeys(confirmations(sheet_of(CURRENT)), True),
    )
    with hub.permits() as desk:
        case = desk.draft(application, f"{hub.own.did}#rosa")
        desk.submit(case.id, case.applicant_id)
        _, part = desk.outgoing_part(case.id, "FR", case.version + 1)
    with body.permits() as desk:
        return desk.receive(part, hub.own.did)


def test_log_in_and_search_by_keyboard_alone(visit: Any, heart: str) -> None:
    visitor = visit("hub")
    page = visitor.goto("/log-in?next=/datasets")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    tab_to(page, "login")
    page.keyboard.type("rosa")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets")
    tab_to(page, "q")
    page.keyboard.type("heart")
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets?q=heart*")
    tab_to(page, "Heart cohort")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Heart cohort").wait_for()
    assert not visitor.complaints


def test_portal_works_without_scripts(visit: Any, heart: str) -> None:
    visitor = visit("hub", scripts=False)
    page = visitor.log_in("rosa", "/datasets?q=heart")
    page.get_by_label("Choose for an application").check()
    page.get_by_role("button", name="Apply for the chosen").click()
    page.get_by_label("Name of the project").fill("Without scripts")
    page.locator("summary", has_text="heart: 0 of 6").wait_for()
    page.get_by_label("age", exact=True).check()
    page.get_by_label("Only rows that meet").fill("age >= fifty")
    page.get_by_role("button", name="Save the draft").click()
    # What could not be read is shown again as it was typed, all else is saved.
    assert page.get_by_label("Only rows that meet").input_value() == "age >= fifty"
    assert page.get_by_text("the value does not fit the column, which holds integer").count() == 2
    page.get_by_label("Only rows that meet").fill("age >= 50")
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_text("The draft is saved").wait_for()
    assert page.get_by_text("Only rows with heart: age >= 50").count() == 1
    page.get_by_role("link", name="Go on with the draft").click()
    page.get_by_role("button", name="Remove").click()
    assert page.get_by_role("button", name="Remove").count() == 0
    page.get_by_label("Another data set").select_option(heart)
    page.get_by_role("button", name="Add it").click()
    assert page.get_by_role("button", name="Remove").count() == 1


def test_wrong_log_in_is_told_and_tells_nothing(visit: Any) -> None:
    visitor = visit("hub")
    page = visitor.goto("/log-in")
    page.get_by_role("button", name="Log in").click()
    assert page.get_by_role("link", name="Enter your password").count() == 1
    page.get_by_label("Log-in name").fill("nobody")
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Log-in name or password is wrong").wait_for()
    visitor.check("hub-log-in-wrong")


def test_what_a_person_is_told_is_read_in_the_own_language(visit: Any, space: Space) -> None:
    body = space.nodes["body-de"]
    with body.notices() as notices:
        for reference in ("DE-1", "DE-2"):
            notices.tell(f"{body.own.did}#otto", "case-arrived", {"reference": reference}, path="/cases")
    visitor = visit("body-de", scripts=False)
    page = visitor.log_in("otto", "/cases")
    inbox = page.get_by_role("link", name=re.compile(r"Inbox \d+ unread"))
    unread = int(
        "".join(filter(str.isdigit, inbox.inner_text()))
    )  # others may have told Otto something before
    assert unread >= 2
    inbox.click()
    page.get_by_label("Language").select_option("de")
    page.get_by_label("E-mail address").fill("otto@hdab")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="The e-mail address does not have the shape of one").wait_for()
    page.get_by_label("E-mail address").fill("otto@hdab.example")
    page.get_by_role("button", name="Save").click()
    heading = page.get_by_role("heading", name="Ein neuer Antrag: DE-1")
    heading.wait_for()
    assert heading.get_attribute("lang") == "de"
    page.get_by_role("button", name="Mark as read: Ein neuer Antrag: DE-1").click()
    assert page.get_by_role("link", name=f"Inbox {unread - 1} unread").count() == 1
    reader = visit("body-de")
    reader.log_in("otto", "/inbox")
    reader.check("body-inbox")
    reader.page.get_by_role("button", name="Mark all as read").click()
    reader.page.get_by_role("link", name="Inbox", exact=True).wait_for()
    assert reader.page.get_by_text("Unread").count() == 0


def test_log_out_ends_the_session(visit: Any) -> None:
    visitor = visit("hub")
    page = visitor.log_in("rosa", "/studies")
    cookies = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    page.get_by_text("You are logged out").wait_for()
    page.context.add_cookies([c for c in cookies if c["name"].endswith("session")])
    visitor.goto("/studies")
    assert "/log-in" in page.url


def test_what_was_typed_survives_the_end_of_the_session(visit: Any, space: Space) -> None:
    visitor = visit("hub")
    page = visitor.log_in("rosa", "/applications/new")
    page.get_by_label("Name of the project").fill("Typed <before> the end")
    page.get_by_role("checkbox", name="Count").check()
    page.get_by_role("checkbox", name="Describe").check()
    (token,) = [c["value"] for c in page.context.cookies() if c["name"].endswith("session")]
    with space.nodes["hub"].accounts() as accounts:
        accounts.log_out(token)
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("heading", level=1, name="Your session has ended").wait_for()
    visitor.check("hub-session-ended")
    page.get_by_label("Log-in name").fill("rosa")
    page.get_by_label("Password").fill("not this one, sorry")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Log-in name or password is wrong").wait_for()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Send what I typed").wait_for()
    assert page.get_by_text("Logged in as Rosa Weber").count() == 1
    visitor.check("hub-welcome-back")
    page.get_by_role("button", name="Send what I typed").click()
    page.get_by_text("The draft is saved").wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == "Typed <before> the end"
    assert page.get_by_text("count, describe").count() == 1


def test_pages_of_other_roles_and_persons_are_closed(visit: Any, space: Space, heart: str) -> None:
    case = file_application(space, heart, "Somebody else's")
    visitor = visit("hub")
    visitor.log_in("olaf", "/audit")
    page = visitor.goto(f"/applications/{case.id}")
    assert page.get_by_role("heading", level=1).inner_text() == "This is not open to you"
    visitor.check("hub-refused")


def test_form_of_another_session_is_refused(visit: Any) -> None:
    visitor = visit("hub")
    page = visitor.log_in("rosa", "/applications/new")
    page.evaluate("document.querySelector('main [name=csrf]').value = 'forged'")
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_text("was not sent from a page of your present session").wait_for()
    visitor.check("hub-form-not-ours")


def test_citizen_opts_out_and_back(visit: Any) -> None:
    visitor = visit("body-fr")
    page = visitor.log_in("claire", "/opt-out")
    page.get_by_text("Your data may be used").wait_for()
    visitor.check("body-fr-opt-out")
    page.get_by_role("button", name="Opt out").click()
    page.get_by_role("heading", name="You have opted out").wait_for()
    assert page.get_by_text("Proved by entry").count() == 1
    visitor.check("body-fr-opted-out")
    page.get_by_role("button", name="Take my opt-out back").click()
    page.get_by_role("heading", name="Your data may be used").wait_for()
    assert page.get_by_text("Proved by entry").count() == 2
    assert "patient-7" not in page.content()


def test_officer_asks_back_refuses_and_revokes(visit: Any, space: Space, heart: str) -> None:
    case = file_application(space, heart, "Heart and age")
    officer = visit("body-fr")
    page = officer.log_in("odile", f"/cases/{case.id}")
    page.get_by_role("button", name="Take up the case").click()
    page.get_by_role("button", name="Ask back").click()
    page.get_by_role("link", name="A question to the applicant needs words").wait_for()
    page.get_by_role("button", name="It is complete").click()

    # Granting without an assessment names every criterion, and keeps what was typed.
    page.get_by_label("Further conditions").fill("Publish the results")
    page.get_by_role("button", name="Propose to grant the permit").click()
    page.locator("#error-summary").wait_for()
    assert page.locator("#error-summary li").count() == 9
    assert page.get_by_label("Further conditions").input_value() == "Publish the results"
    officer.check("body-fr-case-errors")

    # A criterion that is not met stands in the way of a permit.
    for letter in "abcdefgh":
        page.locator(f"#met-{letter}-{'no' if letter == 'b' else 'yes'}").check()
    page.get_by_label("I have no conflict of interest").check()
    page.get_by_role("button", name="Propose to grant the permit").click()
    page.locator("#error-summary").get_by_text("A permit needs every criterion met").wait_for()
    page.locator("#met-b-yes").check()
    page.get_by_text("Permit less data than asked for").click()
    page.get_by_label("heart.sex").uncheck()
    page.get_by_role("button", name="Propose to grant the permit").click()
    page.get_by_text("waits for a colleague").wait_for()
    second = visit("body-fr")
    second.log_in("oscar", f"/cases/{case.id}")
    confirm(second.page)
    with space.nodes["body-fr"].permits() as desk:
        granted = desk.case(case.id, ODILE).countries["FR"]
        issued = desk.status(granted.permit_id)
    assert granted.outcome is Outcome.PARTIAL
    assert issued.permit.data[0].tables == {"heart": ("age",)}
    assert issued.permit.conditions == "Publish the results"

    page = officer.goto(f"/cases/{case.id}")
    page.get_by_text("Revoke the permit (Art. 63)").click()
    page.get_by_label("Reason, which the data user reads").fill("Misuse")
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("The permit is revoked:").wait_for()
    officer.check("body-fr-case-revoked")

    other = file_application(space, heart, "Heart and sex")
    page = officer.goto(f"/cases/{other.id}")
    page.get_by_role("button", name="Take up the case").click()
    page.get_by_role("button", name="It is complete").click()
    page.locator("#met-b-no").check()
    page.get_by_label("I have no conflict of interest").check()
    page.get_by_role("button", name="Propose to refuse").click()
    page.get_by_role("link", name="Give the reason").wait_for()
    page.get_by_label("Reason, which the applicant").fill("More than the purpose takes")
    page.get_by_role("button", name="Propose to refuse").click()
    page.get_by_text("waits for a colleague").wait_for()
    page = second.goto(f"/cases/{other.id}")
    page.get_by_text("Send it back").click()
    page.get_by_label("What has to be changed").fill("Say which columns")
    page.get_by_role("button", name="Send back").click()
    page.get_by_text("The proposed decision is sent back").wait_for()
    page = officer.goto(f"/cases/{other.id}")
    page.locator("#met-b-no").check()
    page.get_by_label("Reason, which the applicant").fill("Sex is more than the purpose takes")
    page.get_by_label("I have no conflict of interest").check()
    page.get_by_role("button", name="Propose to refuse").click()
    second.goto(f"/cases/{other.id}")
    confirm(second.page)
    with space.nodes["body-fr"].permits() as desk:
        assert desk.case(other.id, ODILE).countries["FR"].outcome is Outcome.REFUSAL
    page = officer.goto("/cases?view=closed")
    officer.check("body-fr-cases-closed")
    page.get_by_label("Find in titles").fill("heart and SEX")
    page.get_by_role("button", name="Find").click()
    assert page.get_by_role("link", name="Heart and").count() == 1
    officer.goto("/register")
    officer.check("body-fr-register")


def test_an_officer_with_a_conflict_takes_no_part(visit: Any, space: Space, heart: str) -> None:
    case = file_application(space, heart, "Heart and kin")
    officer = visit("body-fr")
    page = officer.log_in("odile", f"/cases/{case.id}")
    page.get_by_role("button", name="Take up the case").click()
    page.get_by_label("Officer").select_option("Oscar Blanc")
    page.get_by_role("button", name="Hand over").click()
    page.get_by_text("handled by Oscar Blanc").wait_for()
    page.get_by_text("Declare a conflict of interest").click()
    page.get_by_role("button", name="Declare it").click()
    page.get_by_text("Say what the conflict of interest is").first.wait_for()
    page.get_by_label("What the conflict is").fill("My brother applies")
    page.get_by_role("button", name="Declare it").click()
    page.get_by_role("heading", name="You declared a conflict of interest").wait_for()
    assert page.get_by_role("button", name="Ask back").count() == 0
    officer.check("body-fr-case-conflict")


def confirm(page: Any) -> None:
    page.get_by_label("I have no conflict of interest").first.check()
    page.get_by_role("button", name="Confirm the decision").click()
    page.get_by_text("It is decided").wait_for()


def test_audit_log_is_shown_verified_and_proved(visit: Any, heart: str) -> None:
    visitor = visit("lyon")
    page = visitor.log_in("stephane", "/audit")
    page.get_by_text("Dataset published").first.wait_for()
    visitor.check("lyon-audit")
    with page.expect_download() as download:
        page.get_by_role("link", name="Receipt").first.click()
    assert download.value.suggested_filename.startswith("receipt-")
    page.get_by_role("link", name="Dataset published").first.click()
    assert page.get_by_role("row").count() >= 2
    page.get_by_label("Act").fill("nothing-like-it")
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("No entry fits").wait_for()
    visitor.goto("/audit/verification")
    page.get_by_role("heading", name="The log holds").wait_for()
    visitor.check("lyon-audit-verified")


def test_steward_is_told_what_is_wrong_with_a_source(visit: Any, space: Space) -> None:
    visitor = visit("lyon")
    page = visitor.log_in("stephane", "/holdings")
    page.get_by_role("button", name="Connect").click()
    page.get_by_role("link", name="The place of the data is needed").wait_for()
    page.get_by_label("Short name").fill("nothing")
    page.get_by_label("Where they lie").fill(str(space.folder / "nothing.csv"))
    page.get_by_role("button", name="Connect").click()
    page.locator("#error-summary").wait_for()
    assert page.get_by_label("Short name").input_value() == "nothing"
    visitor.check("lyon-holdings-wrong")
    visitor.goto("/ledger")
    page.get_by_label("Only what was refused").check()
    page.get_by_role("button", name="Filter").click()
    page.get_by_text("No question fits").wait_for()
    visitor.check("lyon-ledger")
