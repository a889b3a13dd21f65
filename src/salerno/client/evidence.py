"""The evidence of a study: a Five Safes RO-Crate of plan, answers and report, phases told as actions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salerno.client.answer import Answer, heading_of, svg_of
from salerno.client.report import render_report
from salerno.kernel.errors import Conflict, Unavailable
from salerno.kernel.values import digest
from salerno.standards.ro_crate import SHA512, WORKFLOW_CRATE, Crate, ref, refs

if TYPE_CHECKING:
    from salerno.client.runs import StudyRun

_WORKFLOW = "workflow/"
_PROJECT = "#project"
_SOFTWARE = "#salerno"
_NAMESPACE = uuid.UUID("8f6d3c1e-6d0a-5f7e-9d54-5a1e4c0f9b42")


def write_crate(path: str | Path, run: StudyRun) -> Path:
    """Write the evidence of a study as a ZIP archive.

    Raises:
        Conflict: The run is a rehearsal, or has no answer.
        Unavailable: The file cannot be written.
    """
    path = Path(path)
    made = render_crate(run, datetime.now(UTC))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made)
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror or error}"
        raise Unavailable(
            "evidence-not-written", what, remedy="Choose another file, or make room."
        ) from error
    return path


def render_crate(run: StudyRun, at: datetime) -> bytes:
    """The archive.

    Args:
        run: The study with its answers.
        at: When it is published.
    """
    if run.synthetic:
        raise Conflict(
            "rehearsal", "A rehearsal is evidence of nothing", remedy="Run the study, then write its crate."
        )
    if not run.answers:
        raise Conflict("no-answers", "No question of the study was answered")
    hub = str(next(iter(run.answers.values())).answer["provenance"]["coordinator"])
    crate = Crate(
        {
            "name": run.plan.title,
            "description": run.plan.description or f"Questions and answers of the study {run.plan.title!r}.",
            "datePublished": _text(at),
            "license": ref("#terms"),
            "publisher": ref(hub),
            "sourceOrganization": ref(_PROJECT),
            "mainEntity": ref(_WORKFLOW),
        }
    )
    _people(crate, run, hub)
    _workflow(crate, run)
    crate.file("report.html", render_report(run.plan.title, run.sections()).encode(), "text/html", "Report")
    for planned in run.plan.questions:
        _execution(crate, run, planned.name, hub)
    _review(crate, run, hub, at)
    identifier = uuid.uuid5(_NAMESPACE, f"{run.study.get('id')} {_text(at)}").urn
    return crate.bag("salerno-study", identifier, {"Bagging-Date": f"{at:%Y-%m-%d}"})


def _people(crate: Crate, run: StudyRun, hub: str) -> None:
    applicant = next((str(p["permit"]["applicant"]) for p in run.permits), str(run.user.get("name", "")))
    person = _person(run)
    crate.add("#applicant", "Organization", name=applicant)
    crate.add(
        person, "Person", name=str(run.user.get("name", person)), affiliation=ref("#applicant"),
        memberOf=[ref(_PROJECT)],
    )  # fmt: skip
    permits = [str(permit["permit"]["id"]) for permit in run.permits]
    names = [crate.add(f"#permit-{i}", "PropertyValue", name="data permit", value=id)
             for i, id in enumerate(permits, 1)]  # fmt: skip
    crate.add(
        _PROJECT, "Project", name=run.plan.title, description=f"Purpose: {run.plan.purpose}",
        identifier=refs(names), member=[ref("#applicant")],
    )  # fmt: skip
    crate.add(hub, "Organization", name="Coordinator of the study")
    version = str(next(iter(run.answers.values())).answer["provenance"].get("salerno", ""))
    crate.add(_SOFTWARE, "SoftwareApplication", name="Salerno", softwareVersion=version, provider=ref(hub))
    terms = "Use is limited to the purpose and the period of the data permits (EHDS Art. 61 and 68)."
    crate.add("#terms", "CreativeWork", name="Terms of the data permits", description=terms)


def _workflow(crate: Crate, run: StudyRun) -> None:
    """The plan as a workflow crate of its own, inside this one."""
    plan = run.plan.to_json().encode()
    inner = Crate(
        {"name": run.plan.title, "description": "The plan of the study.", "mainEntity": ref("study.json")},
        WORKFLOW_CRATE,
    )
    kinds = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
    language = ref("#salerno-study")
    inner.file("study.json", plan, "application/json", "Plan", type=kinds, programmingLanguage=language)
    inner.add("#salerno-study", "ComputerLanguage", name="Salerno study file")
    crate.part(
        _WORKFLOW, "Dataset", name=f"Plan of {run.plan.title}", conformsTo=ref(WORKFLOW_CRATE),
        hasPart=[ref("workflow/study.json"), ref("workflow/ro-crate-metadata.json")],
    )  # fmt: skip
    crate.file("workflow/study.json", plan, "application/json", "Plan of the study")
    crate.file(
        "workflow/ro-crate-metadata.json", inner.metadata(), "application/ld+json", "Description of the plan"
    )


def _execution(crate: Crate, run: StudyRun, name: str, hub: str) -> None:
    answer, problem = run.answers.get(name), run.problems.get(name)
    asked = run.questions.get(name)
    if asked is None:
        return  # it was never asked
    question = crate.add(
        f"#question-{name}", "PropertyValue", name=name, value=json.dumps(asked, ensure_ascii=False),
        identifier=f"sha-256:{digest(asked)}", exampleOfWork=ref("#question"),
    )  # fmt: skip
    crate.add("#question", "FormalParameter", name="question")
    known = run.asked.get(name) or {}
    told: dict[str, Any] = {
        "agent": ref(_person(run)),
        "instrument": ref(_WORKFLOW),
        "object": [ref(question), *refs(_read(crate, answer))],
        "startTime": known.get("asked_at"),
    }
    if answer is None:
        told["error"] = str(problem) if problem else "not answered"
        crate.action(
            f"#execute-{name}", "CreateAction", f"Question {name}: no answer", "FailedActionStatus", **told
        )
        return
    crate.action(
        f"#execute-{name}", "CreateAction", f"Question {name}: answered", "CompletedActionStatus",
        **told, result=refs(_outputs(crate, name, answer)),
    )  # fmt: skip


def _read(crate: Crate, answer: Answer | None) -> list[str]:
    """The data sets that an answer was computed from; they stay at their holders."""
    if answer is None:
        return []
    source = answer.answer["provenance"]
    for did, name in zip(source["holders"], answer.holders, strict=True):
        crate.add(did, "Organization", name=name)
        crate.add(
            source["datasets"][did], "DigitalDocument", name=f"Data set of {name}, read where it lies",
            provider=ref(did), hasDigitalDocumentPermission=ref("#no-access"),
        )  # fmt: skip
    crate.add("#no-access", "DigitalDocumentPermission", permissionType="http://schema.org/ReadPermission",
              grantee=refs(source["holders"]))  # fmt: skip
    return [source["datasets"][did] for did in source["holders"]]


def _outputs(crate: Crate, name: str, answer: Answer) -> list[str]:
    heading = heading_of(answer.answer)
    files = [
        crate.file(f"outputs/{name}.json", answer.to_json().encode() + b"\n", "application/json", heading),
        crate.file(f"outputs/{name}.csv", answer.csv_text().encode(), "text/csv", f"{heading}: main table"),
    ]
    svg = svg_of(answer.answer)
    if svg is not None:
        files.append(crate.file(f"outputs/{name}.svg", svg.encode(), "image/svg+xml", f"{heading}: plot"))
    return files


def _review(crate: Crate, run: StudyRun, hub: str, at: datetime) -> None:
    """The phases: sign-off by the permits, disclosure control by the holders, the bag, its receipt."""
    crate.add(SHA512, "DefinedTerm", name="sha-512 algorithm")
    same = all(digest(a.question) == a.answer["provenance"]["question"] for a in run.answers.values())
    crate.phase(
        "#check", "CheckValue",
        f"Digest of each question as it was answered: {'as asked' if same else 'differs'}",
        "CompletedActionStatus" if same else "FailedActionStatus",
        agent=ref(_SOFTWARE), endTime=_text(at),
    )  # fmt: skip
    for number, permit in enumerate(run.permits, 1):
        _sign_off(crate, number, permit["permit"])
    refused = sum(problem.status == 403 for problem in run.problems.values())
    holders = _holders(run.answers.values())
    more = f"; {refused} refused" if refused else ""
    crate.phase(
        "#disclosure", "DisclosureCheck",
        f"Disclosure control of {len(run.answers)} answers, at each holder and of the total: approved{more}",
        "CompletedActionStatus", agent=[ref(_SOFTWARE), *refs(holders)], endTime=_text(at),
        instrument=refs([crate.add(f"#policy-{i}", "CreativeWork", name="Disclosure policy", text=text)
                         for i, text in enumerate(_policies(run), 1)]),
    )  # fmt: skip
    crate.phase(
        "#bag", "GenerateCheckValue", "BagIt manifests of the crate written", "CompletedActionStatus",
        agent=ref(_SOFTWARE), instrument=ref(SHA512), endTime=_text(at),
    )  # fmt: skip
    crate.action(
        "#receive", "ReceiveAction", "Answers received from the coordinator", "CompletedActionStatus",
        agent=ref(_person(run)), sender=ref(hub), object=ref("./"), endTime=_text(at),
    )  # fmt: skip


def _sign_off(crate: Crate, number: int, permit: Mapping[str, Any]) -> None:
    issuer, id = str(permit["issuer"]), str(permit["id"])
    crate.add(issuer, "Organization", name=f"Health data access body of {permit['country']}")
    crate.add(id, "CreativeWork", name=f"Data permit of {permit['country']} (EHDS Art. 68)",
              expires=str(permit["valid_until"]), creator=ref(issuer))  # fmt: skip
    crate.phase(
        f"#sign-off-{number}", "SignOff", f"Data permit of {permit['country']}: granted",
        "CompletedActionStatus", agent=ref(issuer), instrument=ref(id), endTime=str(permit["approved_at"]),
        object=[ref("./"), ref(_WORKFLOW), ref(_PROJECT)],
    )  # fmt: skip


def _policies(run: StudyRun) -> Sequence[str]:
    left_out = ("notes", "suppressed", "missing", "few_holders")
    texts = (
        json.dumps({k: v for k, v in a.answer["disclosure"].items() if k not in left_out}, sort_keys=True)
        for a in run.answers.values()
    )
    return list(dict.fromkeys(texts))


def _holders(answers: Any) -> list[str]:
    return list(dict.fromkeys(did for answer in answers for did in answer.answer["provenance"]["holders"]))


def _person(run: StudyRun) -> str:
    return str(run.user.get("id") or run.study.get("user") or "#researcher")


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
