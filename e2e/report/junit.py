"""The report as JUnit XML: a suite for each scenario, a case for each criterion."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from e2e.criteria import Criterion
from e2e.scenarios.run import Result


def document(results: Sequence[Result]) -> str:
    """The XML text that CI systems read."""
    root = Xml.Element("testsuites")
    for result in results:
        suite = Xml.SubElement(root, "testsuite", name=result.scenario.name, time=f"{result.seconds:.1f}")
        cases = [_case(suite, result.scenario.name, criterion) for criterion in result.criteria]
        if result.skipped or result.error:
            cases.append(_whole(suite, result))
        counts = {
            "tests": len(cases),
            "failures": sum(case.find("failure") is not None for case in cases),
            "errors": sum(case.find("error") is not None for case in cases),
            "skipped": sum(case.find("skipped") is not None for case in cases),
        }
        for name, count in counts.items():
            suite.set(name, str(count))
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Xml.Element, scenario: str, criterion: Criterion) -> Xml.Element:
    case = Xml.SubElement(suite, "testcase", classname=scenario, name=criterion.name)
    if criterion.skipped:
        Xml.SubElement(case, "skipped", message=criterion.measured)
    elif not criterion.passed:
        text = (
            f"expected {criterion.expected}, measured {criterion.measured} on {criterion.requests} requests "
            f"(at least {criterion.least} needed), tolerance {criterion.tolerance}"
        )
        Xml.SubElement(case, "failure", message=text)
    return case


def _whole(suite: Xml.Element, result: Result) -> Xml.Element:
    case = Xml.SubElement(suite, "testcase", classname=result.scenario.name, name="runs")
    kind, message = ("error", result.error) if result.error else ("skipped", result.skipped)
    Xml.SubElement(case, kind, message=message)
    return case
