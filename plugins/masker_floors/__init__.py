"""The two floors that a step runs on. Imported by running tasks only (plugins/.airflowignore)."""
