"""Settings of jobs that tests queue."""

SHIPPED = "demo-vit_demo-1"
EXTRACT = {"subject": "tiny-many", "backbone": "tiny-held"}


def simulate(**settings):
    return {"run": SHIPPED, "protocol": {"experiment": "localizer", "settings": {"n": 4, **settings}}}
