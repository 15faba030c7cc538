# One command for everything that must hold: make check
.PHONY: check lint types imports test format docs

check: lint types imports test

lint:
	ruff check .
	ruff format --check .

types:
	mypy

imports:
	lint-imports

test:
	pytest

docs:
	mkdocs build --strict

format:
	ruff check --fix .
	ruff format .
