import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from golden_files import check_golden
from voxemo.core.schemas import SCHEMAS, json_schema

SCHEMA_FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schemas"


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_the_golden_exported_schema_is_the_one_the_code_checks(name: str) -> None:
    check_golden(
        f"../../docs/reference/schemas/{name}.json", json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n"
    )


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_a_schema_is_valid_and_names_its_version(name: str) -> None:
    schema = json_schema(name)

    Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(f":{name}:{SCHEMAS[name][1]}")


def test_no_schema_file_is_left_over() -> None:
    assert {path.stem for path in SCHEMA_FOLDER.glob("*.json")} == set(SCHEMAS)
