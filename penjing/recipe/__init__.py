"""A recipe: YAML -> stages (plain functions) -> step folders with manifests. Unchanged steps are not run again."""
