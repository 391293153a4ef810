"""Many databases that begin alike: one is made, the others are its copies."""

from uuid import uuid4

from sqlalchemy import make_url

from tests.conftest import _execute


class Databases:
    """Copies of the database on which the story begins, one for each telling."""

    def __init__(self, url):
        self.server = make_url(url)
        self.template = f"begin_{uuid4().hex}"

    def url_of(self, name):
        return self.server.set(database=name).render_as_string(hide_password=False)

    async def prepare(self, begin):
        """Make the database that is copied, by a function of its URL; what that gives."""
        await _execute(self.server, f"CREATE DATABASE {self.template} TEMPLATE template0 STRATEGY file_copy")
        return await begin(self.url_of(self.template))

    async def copy(self):
        name = f"fault_{uuid4().hex}"
        await _execute(self.server, f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return name

    async def drop(self, name):
        await _execute(self.server, f"DROP DATABASE {name} WITH (FORCE)")
