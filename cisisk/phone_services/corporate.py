"""The pages of the company directory: read-only, without a login."""

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
from cisisk.phone_services.texts import ScreenLabel, ScreenText
from cisisk.store import contacts
from cisisk.store.database import Database


class CorporateDirectory:
    """The pages of the company directory."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def start(self, request: PhoneRequest) -> PageAnswer:
        """Return the contacts with their numbers."""
        place, links = people.place(request), request.links
        part = await self._part(place, MAX_DIRECTORY_ENTRIES)
        search = SoftKey(ScreenLabel.SEARCH, links.to("cdir/search"))
        if not part.items:
            return PageAnswer(
                page=Text(title=ScreenLabel.CORPORATE, text=place.empty_text, keys=[search]), is_kept=True
            )
        keys = [DIAL, SoftKey(ScreenLabel.VIEW, links.to("cdir/contacts", **place.parameters))]
        paging = part.keys(lambda start: links.to("cdir", **place.at(start)))
        page = Directory(
            title=ScreenLabel.CORPORATE,
            prompt=part.prompt,
            entries=people.entries(part.items),
            keys=[*keys, *paging, search],
        )
        return PageAnswer(page=page, is_kept=True)

    async def search(self, request: PhoneRequest) -> PageAnswer:
        """Return the search form."""
        page = Input(
            title=ScreenLabel.CORPORATE,
            prompt=ScreenLabel.NAME_OR_NUMBER,
            url=request.links.to("cdir"),
            items=people.SEARCH_ITEMS,
            keys=(SUBMIT, BACKSPACE),
        )
        return PageAnswer(page=page)

    async def contacts(self, request: PhoneRequest) -> PageAnswer:
        """Return the contacts as a menu."""
        place, links = people.place(request), request.links
        part = await self._part(place, request.screen.menu_items)
        items = [
            MenuItem(person.name, links.to("cdir/contact", id=person.uuid, **place.parameters)) for person in part.items
        ]
        if not items:
            return PageAnswer(page=Text(title=ScreenLabel.CORPORATE, text=ScreenText.NO_CONTACTS_HERE))
        paging = part.keys(lambda start: links.to("cdir/contacts", **place.at(start)))
        return PageAnswer(
            page=Menu(title=ScreenLabel.CORPORATE, prompt=part.prompt, items=items, keys=[SELECT, *paging]),
            is_kept=True,
        )

    async def contact(self, request: PhoneRequest) -> PageAnswer:
        """Return one contact."""
        person = await self._db.read(contacts.get_company, request.get("id"))
        links = request.links
        keys = [
            SoftKey(ScreenLabel.CALL, links.to("cdir/call", id=person.uuid)),
            SoftKey(ScreenLabel.BACK, links.to("cdir/contacts", **people.place(request).parameters)),
        ]
        return PageAnswer(
            page=Text(title=ScreenLabel.CORPORATE, prompt=person.name, text=people.details(person), keys=keys)
        )

    async def call(self, request: PhoneRequest) -> PageAnswer:
        """Return the numbers of one contact."""
        person = await self._db.read(contacts.get_company, request.get("id"))
        return PageAnswer(
            page=Directory(title=ScreenLabel.CALL, prompt=person.name, entries=people.numbers(person), keys=[DIAL])
        )

    async def _part(self, place: people.Place, size: int) -> ListPart[CompanyContact]:
        async def find(start: int) -> Page[CompanyContact]:
            listing = Listing(limit=size, offset=start)
            return await self._db.read(contacts.page_of_company, listing, name=place.name, number=place.number)

        return await part_from(find, place.start, size)
