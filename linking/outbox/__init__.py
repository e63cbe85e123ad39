"""The outbox: events about changed course enrollments and roles, written with the change and delivered afterwards."""
