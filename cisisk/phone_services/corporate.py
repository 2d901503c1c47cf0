"""The company's directory on a phone: read-only, without a login."""

from cisisk.model.contact import CompanyContact
from cisisk.model.listing import Listing, Page
from cisisk.phone_services import people
from cisisk.phone_services.answers import PageAnswer
from cisisk.phone_services.objects import (
    BACKSPACE,
    DIAL,
    MAX_DIRECTORY_ENTRIES,
    SELECT,
    SUBMIT,
    Directory,
    Input,
    Menu,
    MenuItem,
    SoftKey,
    Text,
)
from cisisk.phone_services.paging import ListPart, part_from
from cisisk.phone_services.request import PhoneRequest
from cisisk.store import contacts
from cisisk.store.database import Database

TITLE = "Corporate"


class CorporateDirectory:
    """The pages of the company's directory."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def start(self, asked: PhoneRequest) -> PageAnswer:
        """The people with their numbers."""
        place, links = people.place(asked), asked.links
        part = await self._part(place, MAX_DIRECTORY_ENTRIES)
        search = SoftKey("Search", links.to("cdir/search"))
        if not part.items:
            text = f"Nobody is called {place.searched}." if place.searched else "There is nobody yet."
            return PageAnswer(page=Text(title=TITLE, text=text, keys=[search]), is_kept=True)
        keys = [DIAL, SoftKey("View", links.to("cdir/contacts", **place.parameters))]
        paging = part.keys(lambda start: links.to("cdir", **place.at(start)))
        page = Directory(
            title=TITLE, prompt=part.prompt, entries=people.entries(part.items), keys=[*keys, *paging, search]
        )
        return PageAnswer(page=page, is_kept=True)

    async def search(self, asked: PhoneRequest) -> PageAnswer:
        """The form that searches."""
        page = Input(
            title=TITLE,
            prompt="Name or number",
            url=asked.links.to("cdir"),
            items=people.SEARCH_ITEMS,
            keys=(SUBMIT, BACKSPACE),
        )
        return PageAnswer(page=page)

    async def contacts(self, asked: PhoneRequest) -> PageAnswer:
        """The same people, to choose one of them."""
        place, links = people.place(asked), asked.links
        part = await self._part(place, asked.screen.menu_items)
        items = [
            MenuItem(person.name, links.to("cdir/contact", id=person.uuid, **place.parameters)) for person in part.items
        ]
        if not items:
            return PageAnswer(page=Text(title=TITLE, text="There is nobody here."))
        paging = part.keys(lambda start: links.to("cdir/contacts", **place.at(start)))
        return PageAnswer(page=Menu(title=TITLE, prompt=part.prompt, items=items, keys=[SELECT, *paging]), is_kept=True)

    async def contact(self, asked: PhoneRequest) -> PageAnswer:
        """One of them."""
        person = await self._db.read(contacts.get_company, asked.get("id"))
        links = asked.links
        keys = [
            SoftKey("Call", links.to("cdir/call", id=person.uuid)),
            SoftKey("Back", links.to("cdir/contacts", **people.place(asked).parameters)),
        ]
        return PageAnswer(page=Text(title=TITLE, prompt=person.name, text=people.details(person), keys=keys))

    async def call(self, asked: PhoneRequest) -> PageAnswer:
        """The numbers of one of them."""
        person = await self._db.read(contacts.get_company, asked.get("id"))
        return PageAnswer(page=Directory(title="Call", prompt=person.name, entries=people.numbers(person), keys=[DIAL]))

    async def _part(self, place: people.Place, size: int) -> ListPart[CompanyContact]:
        async def find(start: int) -> Page[CompanyContact]:
            listing = Listing(limit=size, offset=start)
            return await self._db.read(contacts.page_of_company, listing, name=place.name, number=place.number)

        return await part_from(find, place.start, size)
