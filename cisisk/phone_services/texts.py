"""The texts of the phone's screen: their codes and English templates.

Pages hold codes and notices, and :mod:`cisisk.phone_services.objects` renders them. What users and administrators
entered, such as the name of a contact, is a plain string and shown as it is.
"""

from gettext import NullTranslations
from typing import TypeAlias

from cisisk.model import messages
from cisisk.model.messages.marker import N_
from cisisk.model.notice import Notice, NoticeCode

Words: TypeAlias = str | Notice
"""A text of this module, or a plain string. A :class:`NoticeCode`, itself a string, is a text without parameters."""


class ScreenProblem(NoticeCode):
    """Why a page is not shown. The phone shows the code beside the sentence."""

    NO_PHONE = "C01"
    ELSEWHERE = "C02"
    THROTTLED = "C03", "seconds"
    WRONG_LOGIN = "C04"
    FORM_EXPIRED = "C05"
    NOTHING_FITS = "C06"
    GONE = "C07"
    NOT_STORED = "C08"
    NOT_SWITCHED = "C09", "profile"
    NOT_RESTARTED = "C10", "profile"
    SUPERSEDED = "C11"
    UNKNOWN_SWITCH = "C12"
    NO_NUMBER = "C13", "name"
    FULL = "C14"
    NO_PAGE = "C15"
    FAILED = "C16"
    DISABLED = "C17"
    LOGGED_IN_ELSEWHERE = "C18", "where"
    IN_CALL = "C19", "profile"
    NOT_RETURNED = "C20"


class ScreenLabel(NoticeCode):
    """Titles, prompts, soft keys, menu items and fields. Phones show at most 32 characters of each."""

    # Titles, and the soft keys and menu items that lead to these pages.
    ADD_CONTACT = "label_add_contact"
    CALL = "label_call"
    CHANGE_PIN = "label_change_pin"
    CORPORATE = "label_corporate"
    DELETE_CONTACT = "label_delete_contact"
    DIRECTORIES = "label_directories"
    EDIT_CONTACT = "label_edit_contact"
    LOGIN = "label_login"
    LOGOUT = "label_logout"
    OPEN_CONTACT = "label_open_contact"
    OPTIONS = "label_options"
    PERSONAL = "label_personal"
    PROFILES = "label_profiles"
    REORDER_CONTACTS = "label_reorder_contacts"
    WHERE = "label_where"
    # Soft keys.
    ADD = "label_add"
    BACK = "label_back"
    DELETE = "label_delete"
    DIAL = "label_dial"
    EDIT = "label_edit"
    EDIT_DIAL = "label_edit_dial"
    EXIT = "label_exit"
    NEXT = "label_next"
    NO = "label_no"
    SEARCH = "label_search"
    SELECT = "label_select"
    SUBMIT = "label_submit"
    VIEW = "label_view"
    YES = "label_yes"
    # Fields.
    BUILDING = "label_building"
    COMPANY = "label_company"
    CURRENT_PIN = "label_current_pin"
    DEPARTMENT = "label_department"
    EMAIL = "label_email"
    HOME = "label_home"
    LOCATION = "label_location"
    MOBILE = "label_mobile"
    NAME = "label_name"
    NEW_PIN = "label_new_pin"
    NEW_PIN_AGAIN = "label_new_pin_again"
    NEW_POSITION = "label_new_position"
    NUMBER = "label_number"
    PIN = "label_pin"
    USER = "label_user"
    WORK = "label_work"
    # Where a contact moves to.
    DOWN = "label_down"
    TO_BOTTOM = "label_to_bottom"
    TO_POSITION = "label_to_position"
    TO_TOP = "label_to_top"
    UP = "label_up"
    # Prompts.
    ACTIVE = "label_active", "profile"
    ADDED = "label_added"
    ARE_YOU_SURE = "label_are_you_sure"
    DELETED = "label_deleted"
    LOGGED_IN = "label_logged_in", "username"
    NAME_OR_NUMBER = "label_name_or_number"
    NOW_AT = "label_now_at", "position"
    PAGE = "label_page", "first", "last", "total"
    PIN_FORM = "label_pin_form"
    POSITION = "label_position", "position", "last"
    SAVED = "label_saved"
    USER_AND_PIN = "label_user_and_pin"
    # Prompts of a form that was filled in wrongly.
    CHOOSE_AGAIN = "label_choose_again"
    NAME_NEEDED = "label_name_needed"
    NEW_PIN_FORM = "label_new_pin_form"
    NOT_A_NUMBER = "label_not_a_number", "field"
    PINS_DIFFER = "label_pins_differ"
    TOO_LONG = "label_too_long"
    WITH_CODE = "label_with_code", "problem", "code"
    WRONG_CURRENT_PIN = "label_wrong_current_pin"


class ScreenText(NoticeCode):
    """Texts of pages, and lines of such texts."""

    # Lines.
    ERROR = "screen_error", "code"
    FIELD = "screen_field", "field", "value"
    THIS_PHONE = "screen_this_phone"
    # Directories.
    CONTACT_DELETED = "screen_contact_deleted", "name"
    DELETE_CONTACT = "screen_delete_contact", "name"
    NO_CONTACTS_HERE = "screen_no_contacts_here"
    NO_CONTACTS_YET = "screen_no_contacts_yet"
    NO_MATCH = "screen_no_match", "searched"
    PIN_CHANGED = "screen_pin_changed"
    # Logins.
    ACTIVATING = "screen_activating", "profile"
    ACTIVE = "screen_active", "profile"
    AFTER_CALL = "screen_after_call", "profile"
    AT_TIME = "screen_at_time", "profile", "time"
    READY = "screen_ready", "profile"
    TAKE_OVER = "screen_take_over", "where"
    # Logouts.
    KEEPS_CONFIG = "screen_keeps_config"
    LOGGED_OUT = "screen_logged_out"
    LOGGED_OUT_RESTARTING = "screen_logged_out_restarting"
    LOG_OUT = "screen_log_out", "username"
    NOT_HERE = "screen_not_here", "username"
    NOWHERE = "screen_nowhere"
    NO_USER_HERE = "screen_no_user_here"


TEMPLATES: dict[str, str] = {
    ScreenProblem.NO_PHONE: N_("The request does not name this phone. Tell your administrator."),
    ScreenProblem.ELSEWHERE: N_("This phone is known at another address. Restart it, then try again."),
    ScreenProblem.THROTTLED: N_("Too many attempts. Try again in {seconds} s."),
    ScreenProblem.WRONG_LOGIN: N_("Wrong user or PIN"),
    ScreenProblem.FORM_EXPIRED: N_("Please fill it in again"),
    ScreenProblem.NOTHING_FITS: N_("None of your profiles fits this phone. Ask your administrator for one."),
    ScreenProblem.GONE: N_("This does not exist any more. Go back and choose again."),
    ScreenProblem.NOT_STORED: N_("This cannot be done at the moment. Try again later."),
    ScreenProblem.NOT_SWITCHED: N_("{profile} could not be activated. This phone keeps its config."),
    ScreenProblem.NOT_RESTARTED: N_(
        "{profile} is ready, but this phone could not be restarted. Unplug it and plug it in again."
    ),
    ScreenProblem.SUPERSEDED: N_("Another profile was chosen for this phone meanwhile."),
    ScreenProblem.UNKNOWN_SWITCH: N_(
        "The result is unknown. If the phone does not restart, unplug it and plug it in again."
    ),
    ScreenProblem.NO_NUMBER: N_("{name} has no number that can be dialled."),
    ScreenProblem.FULL: N_("Your directory is full."),
    ScreenProblem.NO_PAGE: N_("There is no such page."),
    ScreenProblem.FAILED: N_("Something went wrong in Cisisk. Try again, and tell your administrator."),
    ScreenProblem.DISABLED: N_("Users cannot log in on this phone."),
    ScreenProblem.LOGGED_IN_ELSEWHERE: N_("You are logged in at {where}. Log out there first."),
    ScreenProblem.IN_CALL: N_("{profile} cannot be activated during a call, nor right after it. Try again later."),
    ScreenProblem.NOT_RETURNED: N_(
        "You are logged out, but this phone could not be restarted. Unplug it and plug it in again."
    ),
    ScreenLabel.ADD_CONTACT: N_("Add Contact"),
    ScreenLabel.CALL: N_("Call"),
    ScreenLabel.CHANGE_PIN: N_("Change PIN"),
    ScreenLabel.CORPORATE: N_("Corporate"),
    ScreenLabel.DELETE_CONTACT: N_("Delete Contact"),
    ScreenLabel.DIRECTORIES: N_("Directories"),
    ScreenLabel.EDIT_CONTACT: N_("Edit Contact"),
    ScreenLabel.LOGIN: N_("Login"),
    ScreenLabel.LOGOUT: N_("Logout"),
    ScreenLabel.OPEN_CONTACT: N_("Open Contact"),
    ScreenLabel.OPTIONS: N_("Options"),
    ScreenLabel.PERSONAL: N_("Personal"),
    ScreenLabel.PROFILES: N_("Profiles"),
    ScreenLabel.REORDER_CONTACTS: N_("Reorder Contacts"),
    ScreenLabel.WHERE: N_("Where"),
    ScreenLabel.ADD: N_("Add"),
    ScreenLabel.BACK: N_("Back"),
    ScreenLabel.DELETE: N_("Delete"),
    ScreenLabel.DIAL: N_("Dial"),
    ScreenLabel.EDIT: N_("Edit"),
    ScreenLabel.EDIT_DIAL: N_("EditDial"),
    ScreenLabel.EXIT: N_("Exit"),
    ScreenLabel.NEXT: N_("Next"),
    ScreenLabel.NO: N_("No"),
    ScreenLabel.SEARCH: N_("Search"),
    ScreenLabel.SELECT: N_("Select"),
    ScreenLabel.SUBMIT: N_("Submit"),
    ScreenLabel.VIEW: N_("View"),
    ScreenLabel.YES: N_("Yes"),
    ScreenLabel.BUILDING: N_("Building"),
    ScreenLabel.COMPANY: N_("Company"),
    ScreenLabel.CURRENT_PIN: N_("Current PIN"),
    ScreenLabel.DEPARTMENT: N_("Department"),
    ScreenLabel.EMAIL: N_("Email"),
    ScreenLabel.HOME: N_("Home"),
    ScreenLabel.LOCATION: N_("Location"),
    ScreenLabel.MOBILE: N_("Mobile"),
    ScreenLabel.NAME: N_("Name"),
    ScreenLabel.NEW_PIN: N_("New PIN"),
    ScreenLabel.NEW_PIN_AGAIN: N_("New PIN again"),
    ScreenLabel.NEW_POSITION: N_("New position"),
    ScreenLabel.NUMBER: N_("Number"),
    ScreenLabel.PIN: N_("PIN"),
    ScreenLabel.USER: N_("User"),
    ScreenLabel.WORK: N_("Work"),
    ScreenLabel.DOWN: N_("Down"),
    ScreenLabel.TO_BOTTOM: N_("To the Bottom"),
    ScreenLabel.TO_POSITION: N_("To Position..."),
    ScreenLabel.TO_TOP: N_("To the Top"),
    ScreenLabel.UP: N_("Up"),
    ScreenLabel.ACTIVE: N_("Active: {profile}"),
    ScreenLabel.ADDED: N_("Added"),
    ScreenLabel.ARE_YOU_SURE: N_("Are you sure?"),
    ScreenLabel.DELETED: N_("Deleted"),
    ScreenLabel.LOGGED_IN: N_("Logged in: {username}"),
    ScreenLabel.NAME_OR_NUMBER: N_("Name or number"),
    ScreenLabel.NOW_AT: N_("Now at position {position}"),
    ScreenLabel.PAGE: N_("{first}-{last} of {total}"),
    ScreenLabel.PIN_FORM: N_("4 to 16 digits"),
    ScreenLabel.POSITION: N_("Position {position} of {last}"),
    ScreenLabel.SAVED: N_("Saved"),
    ScreenLabel.USER_AND_PIN: N_("User and PIN, please"),
    ScreenLabel.CHOOSE_AGAIN: N_("Please choose again"),
    ScreenLabel.NAME_NEEDED: N_("A name is needed"),
    ScreenLabel.NEW_PIN_FORM: N_("A new PIN has 4 to 16 digits"),
    ScreenLabel.NOT_A_NUMBER: N_("{field} is not a number"),
    ScreenLabel.PINS_DIFFER: N_("The new PINs differ"),
    ScreenLabel.TOO_LONG: N_("That is too long"),
    ScreenLabel.WITH_CODE: N_("{problem} ({code})"),
    ScreenLabel.WRONG_CURRENT_PIN: N_("Wrong current PIN"),
    ScreenText.ERROR: N_("Error {code}"),
    ScreenText.FIELD: N_("{field}: {value}"),
    ScreenText.THIS_PHONE: N_("This phone"),
    ScreenText.CONTACT_DELETED: N_("{name} is deleted."),
    ScreenText.DELETE_CONTACT: N_("Delete {name}?"),
    ScreenText.NO_CONTACTS_HERE: N_("There are no contacts here."),
    ScreenText.NO_CONTACTS_YET: N_("There are no contacts yet."),
    ScreenText.NO_MATCH: N_("No contact matches {searched}."),
    ScreenText.PIN_CHANGED: N_("Your PIN is changed."),
    ScreenText.ACTIVATING: N_("Activating {profile}. The phone restarts."),
    ScreenText.ACTIVE: N_("{profile} is active: this phone has taken it."),
    ScreenText.AFTER_CALL: N_("{profile} will be activated as soon as the phone is in no call."),
    ScreenText.AT_TIME: N_("{profile} will be activated at {time}."),
    ScreenText.READY: N_("{profile} is ready. The phone restarts now."),
    ScreenText.TAKE_OVER: N_("You are logged in at {where}. Log out there and log in here?"),
    ScreenText.KEEPS_CONFIG: N_("You are logged out. This phone keeps its config."),
    ScreenText.LOGGED_OUT: N_("You are logged out."),
    ScreenText.LOGGED_OUT_RESTARTING: N_("You are logged out. The phone restarts."),
    ScreenText.LOG_OUT: N_("Log {username} out? The phone restarts."),
    ScreenText.NOT_HERE: N_("{username} is no longer logged in on this phone."),
    ScreenText.NOWHERE: N_("You are logged in on no phone."),
    ScreenText.NO_USER_HERE: N_("No user is logged in on this phone."),
}
messages.add(TEMPLATES)


def in_words(words: Words, translations: NullTranslations = messages.ENGLISH) -> str:
    """Return the text to show. Raises TypeError if a code that takes parameters stands alone."""
    if isinstance(words, NoticeCode):
        words = words.notice()
    return messages.render(words, translations) if isinstance(words, Notice) else words
