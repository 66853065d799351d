"""What a person does with a scenario: each task of fabfile/__init__.py calls one of these."""
