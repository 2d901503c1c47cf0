"""Every operation of the API below /api/v1."""

from aiohttp import web

from cisisk.api.handlers import auth, cisco_users, permissions, phones, profiles, system, users

_PROFILE = "/phone-profiles/{uuid:(?!switch$)[^/]+}"
"""The switch is no profile: it answers 405 to what only profiles take."""

ROUTES = (
    web.get("/health", system.health),
    web.get("/hello", system.hello),
    web.get("/openapi.json", system.openapi),
    web.post("/auth/login", auth.login),
    web.post("/auth/refresh", auth.refresh),
    web.post("/auth/logout", auth.logout),
    web.post("/auth/register", auth.register),
    web.get("/users", users.find),
    web.post("/users", users.create),
    web.get("/users/{uuid}", users.show),
    web.put("/users/{uuid}", users.update),
    web.delete("/users/{uuid}", users.delete),
    web.get("/me", users.me),
    web.get("/me/phones", users.my_phones),
    web.get("/permissions", permissions.find),
    web.post("/permissions", permissions.create),
    web.get("/permissions/{uuid}", permissions.show),
    web.put("/permissions/{uuid}", permissions.update),
    web.delete("/permissions/{uuid}", permissions.delete),
    web.post("/user-perms", permissions.give),
    web.get("/user-perms/{userUuid}", permissions.show_held),
    web.delete("/user-perms/{userUuid}", permissions.take),
    web.get("/cisco-users/by-user/{userUuid}", cisco_users.show),
    web.put("/cisco-users/{userUuid}", cisco_users.put),
    web.delete("/cisco-users/{userUuid}", cisco_users.delete),
    web.get("/phones", phones.find),
    web.post("/phones", phones.create),
    web.get("/phones/{mac}", phones.show),
    web.put("/phones/{mac}", phones.update),
    web.delete("/phones/{mac}", phones.delete),
    web.get("/cisco-phones", phones.find_cisco),
    web.get("/cisco-phones/{mac}", phones.show_cisco),
    web.put("/cisco-phones/{mac}", phones.put_cisco),
    web.delete("/cisco-phones/{mac}", phones.delete_cisco),
    web.get("/phone-config/{mac}", phones.config),
    web.get("/phone-profiles", profiles.find),
    web.post("/phone-profiles", profiles.create),
    web.post("/phone-profiles/switch", profiles.switch),
    web.get("/phone-profiles/user/{userUuid}", profiles.find_of_user),
    web.get(_PROFILE, profiles.show),
    web.put(_PROFILE, profiles.update),
    web.delete(_PROFILE, profiles.delete),
    web.get("/deployments/{uuid}", profiles.show_deployment),
    web.get("/audit-logs", system.find_audit_logs),
    web.get("/audit-logs/by-user/{userUuid}", system.find_audit_logs_of_user),
)
