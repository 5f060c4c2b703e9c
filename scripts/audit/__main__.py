"""Writes the bill of materials and the licences to build/audit/, and lists known vulnerabilities.

Ends with 1 when a part has a known vulnerability. Without a way to the database it says so and ends with 0.
"""

import json
import sys
from collections import Counter

from scripts.audit.parts import bill_of_materials, licence_of
from scripts.audit.vulnerabilities import OSV_URL, UnreachableError, known_vulnerabilities, python_pins
from scripts.engines.base import REPOSITORY

OUTPUT = REPOSITORY / "build" / "audit"


def main() -> int:
    """Runs the audit."""
    bill = bill_of_materials()
    components = bill["components"]
    licences = {f"{part['name']} {part['version']}": licence_of(part) for part in components}
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "sbom.cdx.json").write_text(json.dumps(bill, indent=2) + "\n")
    (OUTPUT / "licences.txt").write_text(
        "".join(f"{name}: {licence or 'not declared'}\n" for name, licence in sorted(licences.items()))
    )
    print(f"{len(components)} parts in {OUTPUT}/sbom.cdx.json, their licences in licences.txt:")
    for licence, count in Counter(licences.values()).most_common():
        print(f"  {count:>4}  {licence or 'not declared (of images: ask their makers)'}")
    try:
        found = known_vulnerabilities(python_pins(components))
    except UnreachableError:
        print(f"Vulnerabilities were not checked: {OSV_URL} cannot be reached.")
        return 0
    print("\n".join(found) or "No known vulnerability in the Python parts.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
