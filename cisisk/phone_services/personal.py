"""A user's own directory on a phone, with everything to keep it."""

import re
from collections.abc import Mapping
from typing import Any

from cisisk.model.codes.phone_screen import ScreenProblem
from cisisk.model.contact import PersonalContact, is_number
from cisisk.model.errors import Conflict, TooManyAttempts, Unauthenticated
from cisisk.model.listing import Listing, Page
from cisisk.model.user import PIN_FORM
from cisisk.phone_services import people
from cisisk.phone_services.answers import PageAnswer
from cisisk.phone_services.auth import TICKET, PageAuth, PageSession
from cisisk.phone_services.objects import (
    BACKSPACE,
    DIAL,
    MAX_DIRECTORY_ENTRIES,
    SELECT,
    SUBMIT,
    Directory,
    Input,
    InputItem,
    Menu,
    MenuItem,
    SoftKey,
    Text,
    default_value,
)
from cisisk.phone_services.paging import ListPart, part_from, start_from
from cisisk.phone_services.problems import NotShown, prompt
from cisisk.store import contacts
from cisisk.store.database import Database

TITLE = "Personal"
EDIT_DIAL = SoftKey("EditDial", "SoftKey:EditDial")
_AGAIN = prompt(ScreenProblem.FORM_EXPIRED)
_FIELDS = (("Name", "name", "A"), *((label, key, "T") for label, key in people.NUMBERS), ("Email", "email", "A"))
_PARAMETER = {"name": "person"}
"""``name`` is what some firmware adds to every URL, with the phone's own."""
_MAX_NAME, _MAX_EMAIL = 120, 254
"""As over the API."""


class PersonalDirectory:
    """The pages of the personal directory."""

    def __init__(self, db: Database, gate: PageAuth) -> None:
        self._db = db
        self._gate = gate

    async def start(self, visit: PageSession) -> PageAnswer:
        """The contacts with their numbers."""
        place, links = people.place(visit.asked), visit.asked.links
        part = await self._part(visit, place, MAX_DIRECTORY_ENTRIES)
        add, search = SoftKey("Add", links.to("pdir/add")), SoftKey("Search", links.to("pdir/search"))
        options = SoftKey("Options", links.to("pdir/options", **place.parameters))
        # The URL of a page that came with a login has the PIN in it.
        is_kept = not visit.is_new
        if not part.items:
            text = f"Nobody is called {place.searched}." if place.searched else "There is nobody yet."
            return PageAnswer(page=Text(title=TITLE, text=text, keys=[add, options, search]), is_kept=is_kept)
        paging = part.keys(lambda start: links.to("pdir", **place.at(start)))
        keys = [DIAL, add, options, *paging, search]
        prompt = part.prompt or visit.session.user_name
        page = Directory(title=TITLE, prompt=prompt, entries=people.entries(part.items), keys=keys)
        return PageAnswer(page=page, is_kept=is_kept)

    async def search(self, visit: PageSession) -> PageAnswer:
        """The form that searches."""
        page = Input(
            title=TITLE,
            prompt="Name or number",
            url=visit.asked.links.to("pdir"),
            items=people.SEARCH_ITEMS,
            keys=(SUBMIT, BACKSPACE),
        )
        return PageAnswer(page=page)

    async def options(self, visit: PageSession) -> PageAnswer:
        """What else can be done."""
        links, where = visit.asked.links, people.place(visit.asked).parameters
        items = [
            MenuItem("Open Contact", links.to("pdir/contacts", **where)),
            MenuItem("Reorder Contacts", links.to("pdir/reorder", **where)),
            MenuItem("Change PIN", links.to("pdir/pin")),
            MenuItem("Logout", links.to("pdir/logout")),
        ]
        return PageAnswer(page=Menu(title="Options", prompt=visit.session.user_name, items=items, keys=[SELECT]))

    async def contacts(self, visit: PageSession) -> PageAnswer:
        """The contacts, to open one of them."""
        return await self._choose(visit, "Open Contact", "pdir/contacts", "pdir/contact")

    async def reorder(self, visit: PageSession) -> PageAnswer:
        """The contacts, to move one of them."""
        return await self._choose(visit, "Reorder Contacts", "pdir/reorder", "pdir/move")

    async def contact(self, visit: PageSession) -> PageAnswer:
        """One contact."""
        return self._shown(visit, await self._one(visit))

    async def call(self, visit: PageSession) -> PageAnswer:
        """The numbers of one contact."""
        one = await self._one(visit)
        return PageAnswer(
            page=Directory(title="Call", prompt=one.name, entries=people.numbers(one), keys=[DIAL, EDIT_DIAL])
        )

    async def add(self, visit: PageSession) -> PageAnswer:
        """The form for a new contact, and what it leads to."""
        if not visit.asked.get(TICKET):
            return self._form(visit, "Add Contact", "pdir/add", {}, "")
        columns, wrong = _columns(visit, None)
        # A form with a mistake keeps its ticket.
        if wrong or not self._gate.redeem(visit.asked, "add"):
            return self._form(visit, "Add Contact", "pdir/add", columns, wrong or _AGAIN)
        try:
            created = await self._db.write(
                contacts.create_personal, visit.asked.actor, visit.session.user_uuid, _filled(columns)
            )
        except Conflict:
            raise NotShown(ScreenProblem.FULL) from None
        return self._shown(visit, created, "Added")

    async def edit(self, visit: PageSession) -> PageAnswer:
        """The form to change a contact, and what it leads to."""
        one = await self._one(visit)
        page = "pdir/edit"
        if not visit.asked.get(TICKET):
            return self._form(visit, "Edit Contact", page, {key: getattr(one, key) for _, key, _ in _FIELDS}, "", one)
        columns, wrong = _columns(visit, one)
        if wrong or not self._gate.redeem(visit.asked, f"edit {one.uuid}"):
            return self._form(visit, "Edit Contact", page, columns, wrong or _AGAIN, one)
        changed = {key: value for key, value in _filled(columns).items() if value != getattr(one, key)}
        if changed:
            one = await self._db.write(
                contacts.update_personal, visit.asked.actor, one.uuid, changed, owner=visit.session.user_uuid
            )
        return self._shown(visit, one, "Saved")

    async def delete(self, visit: PageSession) -> PageAnswer:
        """Asks before a contact is deleted, and deletes it."""
        one, asked = await self._one(visit), visit.asked
        purpose = f"delete {one.uuid}"
        if asked.get(TICKET) and self._gate.redeem(asked, purpose):
            await self._db.write(contacts.delete_personal, asked.actor, one.uuid, owner=visit.session.user_uuid)
            return PageAnswer(page=Text(title=TITLE, prompt="Deleted", text=f"{one.name} is deleted."))
        yes = SoftKey("Yes", asked.links.to("pdir/delete", id=one.uuid, **self._ticket(visit, purpose)))
        page = Text(
            title="Delete Contact",
            prompt="Are you sure?",
            text=f"Delete {one.name}?",
            keys=[yes],
            leave=SoftKey("No", "SoftKey:Exit"),
        )
        return PageAnswer(page=page)

    async def move(self, visit: PageSession) -> PageAnswer:
        """Where a contact can go from where it is, and its going there."""
        one, asked = await self._one(visit), visit.asked
        owner, purpose, wanted = visit.session.user_uuid, f"move {one.uuid}", start_from(asked.get("to"))
        if wanted and self._gate.redeem(asked, purpose):
            one = await self._db.write(contacts.move_personal, asked.actor, one.uuid, wanted, owner=owner)
        last = (await self._db.read(contacts.page_of_personal, Listing(limit=1), owner)).total
        places = (("Up", one.position - 1), ("Down", one.position + 1), ("To the Top", 1), ("To the Bottom", last))
        ticket = self._ticket(visit, purpose)
        items = [
            MenuItem(name, asked.links.to("pdir/move", id=one.uuid, to=to, **ticket))
            for name, to in places
            if 1 <= to <= last and to != one.position
        ]
        items.append(MenuItem("To Position...", asked.links.to("pdir/place", id=one.uuid)))
        page = Menu(title=one.name, prompt=f"Position {one.position} of {last}", items=items, keys=[SELECT])
        return PageAnswer(page=page)

    async def place(self, visit: PageSession) -> PageAnswer:
        """The form for the number of a contact's new place."""
        one = await self._one(visit)
        page = Input(
            title=one.name,
            prompt=f"Now at position {one.position}",
            url=visit.asked.links.to("pdir/move", id=one.uuid, **self._ticket(visit, f"move {one.uuid}")),
            items=[InputItem(label="New position", parameter="to", flags="N")],
            keys=(SUBMIT, BACKSPACE),
        )
        return PageAnswer(page=page)

    async def pin(self, visit: PageSession) -> PageAnswer:
        """The form to change the PIN, and what it leads to."""
        asked = visit.asked
        if not asked.get(TICKET):
            return self._pin_form(visit, "4 to 16 digits")
        current, new, again = (asked.get(name) for name in ("current", "new", "again"))
        wrong = "" if re.fullmatch(PIN_FORM, new) else "A new PIN has 4 to 16 digits"
        wrong = wrong or ("" if new == again else "The new PINs differ")
        if wrong or not self._gate.redeem(asked, "pin"):
            return self._pin_form(visit, wrong or _AGAIN)
        try:
            await self._gate.change_pin(visit, current, new)
        except Unauthenticated:
            return self._pin_form(visit, f"Wrong current PIN ({ScreenProblem.WRONG_LOGIN})")
        except TooManyAttempts as error:
            return self._gate.braked(asked, error, "pdir/pin")
        return PageAnswer(page=Text(title="Change PIN", text="Your PIN is changed."))

    async def logout(self, visit: PageSession) -> PageAnswer:
        """The end of the session."""
        await self._gate.leave(visit)
        return PageAnswer(page=Text(title="Logout", text="You are logged out."))

    async def _choose(self, visit: PageSession, title: str, here: str, there: str) -> PageAnswer:
        place, links = people.place(visit.asked), visit.asked.links
        part = await self._part(visit, place, visit.asked.screen.menu_items)
        if not part.items:
            return PageAnswer(page=Text(title=title, text="There is nobody here."))
        paging = part.keys(lambda start: links.to(here, **place.at(start)))
        items = [MenuItem(one.name, links.to(there, id=one.uuid)) for one in part.items]
        return PageAnswer(page=Menu(title=title, prompt=part.prompt, items=items, keys=[SELECT, *paging]), is_kept=True)

    async def _part(self, visit: PageSession, place: people.Place, size: int) -> ListPart[PersonalContact]:
        owner = visit.session.user_uuid

        async def find(start: int) -> Page[PersonalContact]:
            listing = Listing(limit=size, offset=start)
            return await self._db.read(contacts.page_of_personal, listing, owner, name=place.name, number=place.number)

        return await part_from(find, place.start, size)

    async def _one(self, visit: PageSession) -> PersonalContact:
        return await self._db.read(contacts.get_personal, visit.asked.get("id"), owner=visit.session.user_uuid)

    def _shown(self, visit: PageSession, one: PersonalContact, prompt: str = "") -> PageAnswer:
        keys = [
            SoftKey(name, visit.asked.links.to(f"pdir/{name.lower()}", id=one.uuid))
            for name in ("Call", "Edit", "Delete")
        ]
        return PageAnswer(page=Text(title=TITLE, prompt=prompt or one.name, text=people.details(one), keys=keys))

    def _form(
        self,
        visit: PageSession,
        title: str,
        page: str,
        values: Mapping[str, str | None],
        prompt: str,
        one: PersonalContact | None = None,
    ) -> PageAnswer:
        purpose = f"edit {one.uuid}" if one else "add"
        items = [
            InputItem(label=label, parameter=_PARAMETER.get(key, key), flags=flags, default=values.get(key) or "")
            for label, key, flags in _FIELDS
        ]
        url = visit.asked.links.to(page, id=one.uuid if one else "", **self._ticket(visit, purpose))
        form = Input(title=title, prompt=prompt, url=url, items=items, keys=(SUBMIT, BACKSPACE))
        return PageAnswer(page=form)

    def _pin_form(self, visit: PageSession, prompt: str) -> PageAnswer:
        asked = ("Current PIN", "current"), ("New PIN", "new"), ("New PIN again", "again")
        items = [InputItem(label=label, parameter=parameter, flags="NP") for label, parameter in asked]
        url = visit.asked.links.to("pdir/pin", **self._ticket(visit, "pin"))
        return PageAnswer(page=Input(title="Change PIN", prompt=prompt, url=url, items=items, keys=(SUBMIT, BACKSPACE)))

    def _ticket(self, visit: PageSession, purpose: str) -> dict[str, Any]:
        return {TICKET: self._gate.ticket(visit.asked, purpose)}


def _columns(visit: PageSession, known: PersonalContact | None) -> tuple[dict[str, str], str]:
    """What a form says, and what is wrong with it; empty when nothing is."""
    columns, wrong = {}, ""
    for label, key, flags in _FIELDS:
        sent, stored = visit.asked.get(_PARAMETER.get(key, key)), (getattr(known, key) if known else None) or ""
        if stored and sent == default_value(stored, visit.asked.screen):
            # Not edited: what came back may be cut, or have lost its accents.
            columns[key] = stored
            continue
        columns[key] = sent
        if flags == "T" and sent and not is_number(sent):
            wrong = wrong or f"{label} is not a number"
    if not columns["name"]:
        return columns, "A name is needed"
    if len(columns["name"]) > _MAX_NAME or len(columns["email"]) > _MAX_EMAIL:
        return columns, "That is too long"
    return columns, wrong


def _filled(columns: Mapping[str, str]) -> dict[str, str | None]:
    return {key: value or None for key, value in columns.items()}
