"""Draft the revision that brings the tables up to the schema; read it before it is committed.

python -m watchtower.store.migrations.draft 0002_more "What it adds"    then set HEAD in __init__.py
python -m watchtower.store.migrations.draft --anew 0001_first "..."     before the first release only
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from watchtower.store import embedded
from watchtower.store.database import migration_config, open_database

VERSIONS = Path(__file__).parent / "versions"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision")
    parser.add_argument("message")
    parser.add_argument("--anew", action="store_true", help="write this revision again, from an empty database")
    options = parser.parse_args()
    if options.anew:
        (VERSIONS / f"m{options.revision}.py").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder) / "data") as server:
        database = open_database(server.url)
        with database.begin() as connection:
            config = migration_config(connection)
            config.set_main_option("file_template", "m%%(rev)s")
            if ScriptDirectory.from_config(config).get_heads():
                command.upgrade(config, "head")
            command.revision(config, options.message, autogenerate=True, rev_id=options.revision)
        database.close()
    written = VERSIONS / f"m{options.revision}.py"
    lines = written.read_text().splitlines(keepends=True)
    written.write_text("".join(line for line in lines if "# ### " not in line))
    for step in ("format", "check --fix"):
        subprocess.run([sys.executable, "-m", "ruff", *step.split(), "--quiet", str(written)], check=True)
    print(written)


if __name__ == "__main__":
    main()
