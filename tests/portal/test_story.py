"""The whole story in the browser, each page on the way held against the rules for all pages."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from salerno.permits.rules import CRITERIA, CURRENT, confirmations, sheet_of
from tests.portal.space import Space, Visitor, write_patients

pytestmark = pytest.mark.serial


def wait_for(visitor: Visitor, path: str, text: str, seconds: float = 40) -> Page:
    """Reload a page until it says something: news travel between the nodes by themselves."""
    deadline = time.monotonic() + seconds
    while True:
        page = visitor.goto(path)
        if page.get_by_text(text).count():
            return page
        assert time.monotonic() < deadline, f"{path} never said {text!r}"
        time.sleep(0.5)


def connect(visit: Any, space: Space, holder: str, login: str, title: str, seed: int) -> None:
    source = space.folder / holder / "patients.csv"
    write_patients(source, seed)
    steward = visit(holder)
    page = steward.log_in(login, "/holdings")
    steward.check(f"{holder}-holdings-empty")
    page.get_by_label("Short name").fill("registry")
    page.get_by_label("Title (optional)").fill(title)
    page.get_by_label("What the data are").fill(
        "Patients after a treatment for joint pain, with bleeding as event."
    )
    page.get_by_label("Kind").select_option("tables")
    page.get_by_label("Where they lie").fill(str(source))
    page.get_by_role("button", name="Connect").click()
    page.get_by_text("is connected").wait_for()
    page.get_by_text("Describe and publish it").click()
    page.get_by_role("button", name="Compute the description").click()
    page.get_by_text("is published").first.wait_for()
    steward.check(f"{holder}-holdings")
    page.get_by_role("link", name=f"The disclosure policy of {title}").click()
    page.get_by_role("button", name="Use this policy").click()
    page.get_by_text("is in force from the next question on").wait_for()
    steward.check(f"{holder}-policy")


def decide(visit: Any, body: str, login: str, second: str, title: str) -> None:
    officer = visit(body)
    officer.log_in(login, "/cases")
    page = wait_for(officer, "/cases", title)
    officer.check(f"{body}-cases")
    page.get_by_role("link", name=title).click()
    page.get_by_role("button", name="Take up the case").click()
    page.get_by_text("You have taken up the case").wait_for()
    officer.check(f"{body}-case-new")
    page.get_by_role("button", name="It is complete").click()
    page.get_by_text("is found complete").wait_for()
    officer.check(f"{body}-case")
    for letter in CRITERIA:
        page.locator(f"#met-{letter}-yes").check()
    page.get_by_label("Months", exact=True).fill("12")
    page.get_by_label("I have no conflict of interest").check()
    page.get_by_role("button", name="Propose to grant the permit").click()
    page.get_by_text("waits for a colleague").wait_for()
    address = page.url.removeprefix(officer.root)

    colleague = visit(body)
    page = colleague.log_in(second, "/cases?view=proposed")
    page.get_by_role("link", name=title).click()
    colleague.check(f"{body}-case-proposed")
    page.get_by_role("button", name="Confirm the decision").click()
    page.locator("#error-summary").get_by_text("declares to have no conflict").wait_for()
    page.get_by_label("I have no conflict of interest").first.check()
    page.get_by_role("button", name="Confirm the decision").click()
    page.get_by_text("It is decided").wait_for()
    officer.goto(address)
    officer.check(f"{body}-case-granted")


def take_away(visitor: Any, link: str, beginning: bytes) -> None:
    address = visitor.page.get_by_role("link", name=link).get_attribute("href")
    file = visitor.page.request.get(visitor.root + address)
    assert file.ok, file.text()
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.body().startswith(beginning)


def test_story_from_data_to_answer(visit: Any, space: Space) -> None:
    connect(visit, space, "lyon", "stephane", "Joint pain registry of Lyon", 1)
    connect(visit, space, "jena", "sabine", "Joint pain registry of Jena", 2)

    visitor = visit("hub")
    page = visitor.goto("/")
    visitor.check("hub-start")
    wait_for(visitor, "/datasets", "Joint pain registry of Lyon")
    wait_for(visitor, "/datasets", "Joint pain registry of Jena")
    visitor.check("hub-datasets")

    # Whoever wants a page that needs a log-in gets there after it.
    page = visitor.goto("/applications")
    assert "/log-in?next=" in page.url
    visitor.check("hub-log-in")
    visitor.log_in("rosa", "/applications")
    visitor.check("hub-applications-empty")

    page = visitor.goto("/datasets?q=bleeding")
    page.get_by_role("link", name="Joint pain registry of Lyon").click()
    page.get_by_role("heading", level=1, name="Joint pain registry of Lyon").wait_for()
    visitor.check("hub-dataset")
    page = visitor.goto("/datasets?q=joint")
    for box in page.get_by_label("Choose for an application").all():
        box.check()
    page.get_by_role("button", name="Apply for the chosen").click()
    visitor.check("hub-application-form")

    # Incomplete drafts are kept, and submitting says what is missing with its article.
    page.get_by_label("Name of the project").fill("Bleeding after treatment")
    page.get_by_role("button", name="Save and submit").click()
    page.locator("#error-summary").wait_for()
    assert page.get_by_text("EHDS Art. 67(2)(g)").count() >= 1
    assert page.evaluate("document.activeElement.id") == "error-summary"
    visitor.check("hub-application-errors")
    assert page.get_by_label("Name of the project").input_value() == "Bleeding after treatment"

    page.get_by_label("Name of the organisation or person").fill("University of Salerno")
    page.get_by_label("E-mail address for questions").fill("rosa@example.eu")
    page.get_by_label("What the data will be used for").fill("Compare bleeding after two treatments.")
    page.get_by_label("What good is expected").fill("Patients get the safer treatment.")
    page.get_by_label("Safeguards against misuse").fill("Only sums leave the hospitals.")
    for _ in range(2):
        page.get_by_role("button", name="Select all").first.click()
    for field in confirmations(sheet_of(CURRENT)):
        page.locator(f"#{field}").check()
    # What depends on another answer shows with it; every field is kept as soon as it is left.
    assert page.get_by_label("Which country, and the legal basis").is_hidden()
    page.locator("#third-country-1").check()
    page.get_by_label("Which country, and the legal basis").fill("None")
    page.locator("#third-country-2").check()
    assert page.get_by_label("Which country, and the legal basis").is_hidden()
    page.get_by_text("What you wrote is kept.").wait_for()
    visitor.check("hub-application-filled")
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_text("The draft is saved").wait_for()
    visitor.check("hub-application-draft")
    page.get_by_role("link", name="Go on with the draft").click()
    page.get_by_role("button", name="Save and submit").click()
    page.get_by_text("was sent to every access body").wait_for()
    visitor.check("hub-application-submitted")
    address = page.url.removeprefix(visitor.root)

    decide(visit, "body-fr", "odile", "oscar", "Bleeding after treatment")
    decide(visit, "body-de", "otto", "olga", "Bleeding after treatment")
    deadline = time.monotonic() + 40
    while visitor.goto(address).get_by_role("heading", level=3).get_by_text("Granted").count() < 2:
        assert time.monotonic() < deadline, "the permits did not arrive"
        time.sleep(0.5)
    visitor.check("hub-application-granted")

    page.get_by_role("link", name="Begin a study").click()
    visitor.check("hub-study-form")
    page.get_by_role("link", name="OMOP: cohorts").click()
    page.get_by_role("button", name="Open the study").click()
    page.get_by_role("link", name="Name at least one group").wait_for()
    page.get_by_text("More groups").click()
    for summary in ("Covariates: what persons had", "Treatments, when", "Concepts, when", "Use of a drug,"):
        page.get_by_text(summary).click()
    visitor.check("hub-study-form-omop")
    page.get_by_role("link", name="Plain tables").click()
    page.get_by_label("Name of the study").fill("Bleeding by treatment")
    page.get_by_role("button", name="Open the study").click()
    page.get_by_text("The study is open").wait_for()
    visitor.check("hub-study")
    study = page.url

    for method, column in (("Survival curves", "treatment: celecoxib"), ("Count", "sex: F, M")):
        page.goto(study)
        page.get_by_role("link", name=method, exact=True).click()
        page.get_by_role("checkbox", name=column).check()
        page.get_by_text(
            "Nothing that is published speaks against"
        ).wait_for()  # checked while it is filled in
        visitor.check(f"hub-ask-{method.split()[0].lower()}")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_role("heading", name="Disclosure control").wait_for(timeout=60_000)
        image = page.locator("figure img")
        assert image.evaluate("async image => { await image.decode(); return image.naturalWidth; }") > 100
        visitor.check(f"hub-answer-{method.split()[0].lower()}")
        take_away(visitor, "Report (HTML)", b"<!doctype html>")
        take_away(visitor, "Figures (CSV)", b"result_id,cdm_name")
        take_away(visitor, "Tables (CSV)", b"")
    page.goto(study)
    take_away(visitor, "Report (HTML)", b"<!doctype html>")
    take_away(visitor, "Evidence (RO-Crate, ZIP)", b"PK")

    # A formula built of columns is tried on synthetic rows before anybody is asked.
    page.goto(study)
    page.get_by_role("link", name="Cox regression").click()
    page.get_by_label("Formula").first.fill("")
    page.get_by_text("Build it from columns").click()
    page.get_by_label("Time", exact=True).select_option("time")
    page.get_by_label("Event", exact=True).select_option("status")
    page.get_by_role("checkbox", name="age").check()
    page.get_by_text("Surv(time, status) ~ age").wait_for()
    visitor.check("hub-ask-cox")
    page.get_by_role("button", name="Rehearse").click()
    page.get_by_role("heading", name="Synthetic data").wait_for(timeout=60_000)
    visitor.check("hub-rehearsal")
    page.get_by_role("button", name="Ask it of the data holders").click()
    page.get_by_role("heading", name="Disclosure control").wait_for(timeout=60_000)

    # A misspelt column is met with a sentence that helps: before it is asked, and from the holders.
    page.goto(study)
    page.get_by_role("link", name="As JSON").click()
    page.get_by_label("Question as JSON").fill('{"method": "histogram", "variable": "agee"}')
    page.get_by_text("Did you mean 'age'").wait_for()
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_label("Ask although").check()
    visitor.check("hub-ask-anyway")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("heading", name="There is no answer").wait_for(timeout=60_000)
    assert page.get_by_text("Did you mean 'age'").count()
    visitor.check("hub-answer-error")
    page.goto(study)
    page.get_by_role("link", name="As JSON").click()
    visitor.check("hub-ask-json")
    page = visitor.goto("/studies")
    visitor.check("hub-studies")
    page = visitor.goto(f"/datasets/one?iri={quote(space.url('lyon') + '/datasets/none', safe='')}")
    visitor.check("hub-not-found")
    visitor.goto("/register")
    visitor.check("hub-register")
