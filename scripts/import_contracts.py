"""A contract for import-linter: a package may import what is listed, and nothing else.

import-linter's own contracts list what is forbidden; for rings around a pure core the list of what is allowed
is the shorter and the safer one: a new dependency must be written down before it passes.
"""

from __future__ import annotations

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ANY = "any"


class AllowedImports(Contract):
    """`package` imports only itself, the packages in `internal`, the `stdlib` modules and `external` ones.

    Direct imports only: what `internal` packages import is their own contract's matter.
    """

    type_name = "allowed_imports"

    package = fields.StringField()
    internal = fields.SetField(subfield=fields.StringField(), required=False)
    stdlib = fields.SetField(subfield=fields.StringField(), required=False)
    external = fields.SetField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        package = str(self.package)
        if package not in graph.modules:
            # A ring that is not built yet breaks nothing.
            return ContractCheck(kept=True, warnings=[f"{package} does not exist"])
        broken = []
        for importer in sorted({package, *graph.find_descendants(package)}):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if not self._allowed(imported):
                    details = graph.get_import_details(importer=importer, imported=imported)
                    broken.append((importer, imported, [detail["line_number"] for detail in details]))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def _allowed(self, imported: str) -> bool:
        top = imported.partition(".")[0]
        own = str(self.package)
        if top == own.partition(".")[0]:
            # `from vivavoz import __version__` names the root, which imports nothing.
            return imported == top or any(_within(imported, ring) for ring in {own, *(self.internal or ())})
        if top in sys.stdlib_module_names:
            listed = self.stdlib or set()
            return ANY in listed or top in listed
        listed = self.external or set()
        return ANY in listed or top in listed

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, lines in check.metadata["broken"]:
            where = ", ".join(f"l.{line}" for line in lines)
            output.print_error(f"{importer} must not import {imported} ({where})", bold=False)
        output.new_line()


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
