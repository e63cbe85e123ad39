"""The engine: links and undoes slices of learners. Programs use it by ``linking.api`` and ``linking.bulk``."""
