# One command for everything that must hold: make check
.PHONY: check lint types imports test format

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

format:
	ruff check --fix .
	ruff format .
