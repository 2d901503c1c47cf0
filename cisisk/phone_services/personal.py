"""The pages of the personal directory."""

import re
from collections.abc import Mapping
from typing import Any

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
    EDIT_DIAL,
    MAX_DIRECTORY_ENTRIES,
    NO,
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
from cisisk.phone_services.problems import NotShown, as_prompt, prompt_with_code
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem, ScreenText, Words
from cisisk.store import contacts
from cisisk.store.database import Database

_FIELDS = (
    (ScreenLabel.NAME, "name", "A"),
    *((label, key, "T") for label, key in people.NUMBERS),
    (ScreenLabel.EMAIL, "email", "A"),
)
"""The fields of the form: label, attribute and flags."""
_PARAMETER = {"name": "person"}
"""Some firmware adds the parameter ``name``, with the name of the phone, to every URL."""
_MAX_NAME, _MAX_EMAIL = 120, 254
"""The limits of the API."""


class PersonalDirectory:
    """The pages of a user's own directory."""

    def __init__(self, db: Database, auth: PageAuth) -> None:
        self._db = db
        self._auth = auth

    async def start(self, session: PageSession) -> PageAnswer:
        """Return the contacts with their numbers."""
        place, links = people.place(session.request), session.request.links
        part = await self._part(session, place, MAX_DIRECTORY_ENTRIES)
        add = SoftKey(ScreenLabel.ADD, links.to("pdir/add"))
        search = SoftKey(ScreenLabel.SEARCH, links.to("pdir/search"))
        options = SoftKey(ScreenLabel.OPTIONS, links.to("pdir/options", **place.parameters))
        # The URL of a page with a login contains the PIN.
        is_kept = not session.is_new
        if not part.items:
            return PageAnswer(
                page=Text(title=ScreenLabel.PERSONAL, text=place.empty_text, keys=[add, options, search]),
                is_kept=is_kept,
            )
        paging = part.keys(lambda start: links.to("pdir", **place.at(start)))
        keys = [DIAL, add, options, *paging, search]
        prompt = part.prompt or session.login.user_name
        page = Directory(title=ScreenLabel.PERSONAL, prompt=prompt, entries=people.entries(part.items), keys=keys)
        return PageAnswer(page=page, is_kept=is_kept)

    async def search(self, session: PageSession) -> PageAnswer:
        """Return the search form."""
        page = Input(
            title=ScreenLabel.PERSONAL,
            prompt=ScreenLabel.NAME_OR_NUMBER,
            url=session.request.links.to("pdir"),
            items=people.SEARCH_ITEMS,
            keys=(SUBMIT, BACKSPACE),
        )
        return PageAnswer(page=page)

    async def options(self, session: PageSession) -> PageAnswer:
        """Return the menu of options."""
        links, where = session.request.links, people.place(session.request).parameters
        items = [
            MenuItem(ScreenLabel.OPEN_CONTACT, links.to("pdir/contacts", **where)),
            MenuItem(ScreenLabel.REORDER_CONTACTS, links.to("pdir/reorder", **where)),
            MenuItem(ScreenLabel.CHANGE_PIN, links.to("pdir/pin")),
            MenuItem(ScreenLabel.LOGOUT, links.to("pdir/logout")),
        ]
        return PageAnswer(
            page=Menu(title=ScreenLabel.OPTIONS, prompt=session.login.user_name, items=items, keys=[SELECT])
        )

    async def contacts(self, session: PageSession) -> PageAnswer:
        """Return the contacts as a menu, to open one."""
        return await self._choose(session, ScreenLabel.OPEN_CONTACT, "pdir/contacts", "pdir/contact")

    async def reorder(self, session: PageSession) -> PageAnswer:
        """Return the contacts as a menu, to move one."""
        return await self._choose(session, ScreenLabel.REORDER_CONTACTS, "pdir/reorder", "pdir/move")

    async def contact(self, session: PageSession) -> PageAnswer:
        """Return one contact."""
        return self._shown(session, await self._one(session))

    async def call(self, session: PageSession) -> PageAnswer:
        """Return the numbers of one contact."""
        one = await self._one(session)
        return PageAnswer(
            page=Directory(title=ScreenLabel.CALL, prompt=one.name, entries=people.numbers(one), keys=[DIAL, EDIT_DIAL])
        )

    async def add(self, session: PageSession) -> PageAnswer:
        """Return the form for a new contact, or add the contact."""
        if not session.request.get(TICKET):
            return self._form(session, ScreenLabel.ADD_CONTACT, "pdir/add", {}, "")
        columns, wrong = _columns(session, None)
        # A form with an error keeps its ticket.
        if wrong or not self._auth.redeem(session.request, "add"):
            return self._form(
                session, ScreenLabel.ADD_CONTACT, "pdir/add", columns, wrong or as_prompt(ScreenProblem.FORM_EXPIRED)
            )
        try:
            created = await self._db.write(
                contacts.create_personal, session.request.actor, session.login.user_uuid, _filled(columns)
            )
        except Conflict:
            raise NotShown(ScreenProblem.FULL) from None
        return self._shown(session, created, ScreenLabel.ADDED)

    async def edit(self, session: PageSession) -> PageAnswer:
        """Return the form to change a contact, or change it."""
        one = await self._one(session)
        page = "pdir/edit"
        if not session.request.get(TICKET):
            return self._form(
                session, ScreenLabel.EDIT_CONTACT, page, {key: getattr(one, key) for _, key, _ in _FIELDS}, "", one
            )
        columns, wrong = _columns(session, one)
        if wrong or not self._auth.redeem(session.request, f"edit {one.uuid}"):
            return self._form(
                session, ScreenLabel.EDIT_CONTACT, page, columns, wrong or as_prompt(ScreenProblem.FORM_EXPIRED), one
            )
        changed = {key: value for key, value in _filled(columns).items() if value != getattr(one, key)}
        if changed:
            one = await self._db.write(
                contacts.update_personal, session.request.actor, one.uuid, changed, owner=session.login.user_uuid
            )
        return self._shown(session, one, ScreenLabel.SAVED)

    async def delete(self, session: PageSession) -> PageAnswer:
        """Ask for a confirmation, or delete a contact."""
        one, request = await self._one(session), session.request
        purpose = f"delete {one.uuid}"
        if request.get(TICKET) and self._auth.redeem(request, purpose):
            await self._db.write(contacts.delete_personal, request.actor, one.uuid, owner=session.login.user_uuid)
            return PageAnswer(
                page=Text(
                    title=ScreenLabel.PERSONAL,
                    prompt=ScreenLabel.DELETED,
                    text=ScreenText.CONTACT_DELETED.notice(name=one.name),
                )
            )
        yes = SoftKey(ScreenLabel.YES, request.links.to("pdir/delete", id=one.uuid, **self._ticket(session, purpose)))
        page = Text(
            title=ScreenLabel.DELETE_CONTACT,
            prompt=ScreenLabel.ARE_YOU_SURE,
            text=ScreenText.DELETE_CONTACT.notice(name=one.name),
            keys=[yes],
            leave=NO,
        )
        return PageAnswer(page=page)

    async def move(self, session: PageSession) -> PageAnswer:
        """Return the menu of new positions, or move a contact."""
        one, request = await self._one(session), session.request
        owner, purpose, wanted = session.login.user_uuid, f"move {one.uuid}", start_from(request.get("to"))
        if wanted and self._auth.redeem(request, purpose):
            one = await self._db.write(contacts.move_personal, request.actor, one.uuid, wanted, owner=owner)
        last = (await self._db.read(contacts.page_of_personal, Listing(limit=1), owner)).total
        places = (
            (ScreenLabel.UP, one.position - 1),
            (ScreenLabel.DOWN, one.position + 1),
            (ScreenLabel.TO_TOP, 1),
            (ScreenLabel.TO_BOTTOM, last),
        )
        ticket = self._ticket(session, purpose)
        items = [
            MenuItem(name, request.links.to("pdir/move", id=one.uuid, to=to, **ticket))
            for name, to in places
            if 1 <= to <= last and to != one.position
        ]
        items.append(MenuItem(ScreenLabel.TO_POSITION, request.links.to("pdir/place", id=one.uuid)))
        prompt = ScreenLabel.POSITION.notice(position=one.position, last=last)
        page = Menu(title=one.name, prompt=prompt, items=items, keys=[SELECT])
        return PageAnswer(page=page)

    async def place(self, session: PageSession) -> PageAnswer:
        """Return the form for the new position of a contact."""
        one = await self._one(session)
        page = Input(
            title=one.name,
            prompt=ScreenLabel.NOW_AT.notice(position=one.position),
            url=session.request.links.to("pdir/move", id=one.uuid, **self._ticket(session, f"move {one.uuid}")),
            items=[InputItem(label=ScreenLabel.NEW_POSITION, parameter="to", flags="N")],
            keys=(SUBMIT, BACKSPACE),
        )
        return PageAnswer(page=page)

    async def pin(self, session: PageSession) -> PageAnswer:
        """Return the form to change the PIN, or change it."""
        request = session.request
        if not request.get(TICKET):
            return self._pin_form(session, ScreenLabel.PIN_FORM)
        current, new, again = (request.get(name) for name in ("current", "new", "again"))
        wrong = _wrong_pin(new, again)
        if wrong or not self._auth.redeem(request, "pin"):
            return self._pin_form(session, wrong or as_prompt(ScreenProblem.FORM_EXPIRED))
        try:
            await self._auth.change_pin(session, current, new)
        except Unauthenticated:
            return self._pin_form(
                session, prompt_with_code(ScreenLabel.WRONG_CURRENT_PIN.notice(), ScreenProblem.WRONG_LOGIN)
            )
        except TooManyAttempts as error:
            return self._auth.throttled(request, error, "pdir/pin")
        return PageAnswer(page=Text(title=ScreenLabel.CHANGE_PIN, text=ScreenText.PIN_CHANGED))

    async def logout(self, session: PageSession) -> PageAnswer:
        """End the session."""
        await self._auth.leave(session)
        return PageAnswer(page=Text(title=ScreenLabel.LOGOUT, text=ScreenText.LOGGED_OUT))

    async def _choose(self, session: PageSession, title: Words, here: str, there: str) -> PageAnswer:
        place, links = people.place(session.request), session.request.links
        part = await self._part(session, place, session.request.screen.menu_items)
        if not part.items:
            return PageAnswer(page=Text(title=title, text=ScreenText.NO_CONTACTS_HERE))
        paging = part.keys(lambda start: links.to(here, **place.at(start)))
        items = [MenuItem(one.name, links.to(there, id=one.uuid)) for one in part.items]
        return PageAnswer(page=Menu(title=title, prompt=part.prompt, items=items, keys=[SELECT, *paging]), is_kept=True)

    async def _part(self, session: PageSession, place: people.Place, size: int) -> ListPart[PersonalContact]:
        owner = session.login.user_uuid

        async def find(start: int) -> Page[PersonalContact]:
            listing = Listing(limit=size, offset=start)
            return await self._db.read(contacts.page_of_personal, listing, owner, name=place.name, number=place.number)

        return await part_from(find, place.start, size)

    async def _one(self, session: PageSession) -> PersonalContact:
        return await self._db.read(contacts.get_personal, session.request.get("id"), owner=session.login.user_uuid)

    def _shown(self, session: PageSession, one: PersonalContact, prompt: Words = "") -> PageAnswer:
        links = session.request.links
        keys = [
            SoftKey(ScreenLabel.CALL, links.to("pdir/call", id=one.uuid)),
            SoftKey(ScreenLabel.EDIT, links.to("pdir/edit", id=one.uuid)),
            SoftKey(ScreenLabel.DELETE, links.to("pdir/delete", id=one.uuid)),
        ]
        return PageAnswer(
            page=Text(title=ScreenLabel.PERSONAL, prompt=prompt or one.name, text=people.details(one), keys=keys)
        )

    def _form(
        self,
        session: PageSession,
        title: Words,
        page: str,
        values: Mapping[str, str | None],
        prompt: Words,
        one: PersonalContact | None = None,
    ) -> PageAnswer:
        purpose = f"edit {one.uuid}" if one else "add"
        items = [
            InputItem(label=label, parameter=_PARAMETER.get(key, key), flags=flags, default=values.get(key) or "")
            for label, key, flags in _FIELDS
        ]
        url = session.request.links.to(page, id=one.uuid if one else "", **self._ticket(session, purpose))
        form = Input(title=title, prompt=prompt, url=url, items=items, keys=(SUBMIT, BACKSPACE))
        return PageAnswer(page=form)

    def _pin_form(self, session: PageSession, prompt: Words) -> PageAnswer:
        fields = (
            (ScreenLabel.CURRENT_PIN, "current"),
            (ScreenLabel.NEW_PIN, "new"),
            (ScreenLabel.NEW_PIN_AGAIN, "again"),
        )
        items = [InputItem(label=label, parameter=parameter, flags="NP") for label, parameter in fields]
        url = session.request.links.to("pdir/pin", **self._ticket(session, "pin"))
        form = Input(title=ScreenLabel.CHANGE_PIN, prompt=prompt, url=url, items=items, keys=(SUBMIT, BACKSPACE))
        return PageAnswer(page=form)

    def _ticket(self, session: PageSession, purpose: str) -> dict[str, Any]:
        return {TICKET: self._auth.ticket(session.request, purpose)}


def _columns(session: PageSession, known: PersonalContact | None) -> tuple[dict[str, str], Words]:
    """Return the fields of a form, and an error text; the text is empty if the form is valid."""
    columns: dict[str, str] = {}
    wrong: Words = ""
    for label, key, flags in _FIELDS:
        sent, stored = session.request.get(_PARAMETER.get(key, key)), (getattr(known, key) if known else None) or ""
        if stored and sent == default_value(stored, session.request.screen):
            # The user did not edit it. The form may have shown it shortened or without accents.
            columns[key] = stored
            continue
        columns[key] = sent
        if flags == "T" and sent and not is_number(sent):
            wrong = wrong or ScreenLabel.NOT_A_NUMBER.notice(field=label.notice())
    if not columns["name"]:
        return columns, ScreenLabel.NAME_NEEDED
    if len(columns["name"]) > _MAX_NAME or len(columns["email"]) > _MAX_EMAIL:
        return columns, ScreenLabel.TOO_LONG
    return columns, wrong


def _wrong_pin(new: str, again: str) -> Words:
    """Return an error text; it is empty if the new PIN is valid."""
    if not re.fullmatch(PIN_FORM, new):
        return ScreenLabel.NEW_PIN_FORM
    return "" if new == again else ScreenLabel.PINS_DIFFER


def _filled(columns: Mapping[str, str]) -> dict[str, str | None]:
    return {key: value or None for key, value in columns.items()}
