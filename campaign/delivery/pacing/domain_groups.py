"""Groups of recipient domains that count as one: the campaign's own, and built-in ones for Google and Microsoft.

A provider counts what it receives over all its domains, so a pause that one of them asks for applies to all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from campaign.config.delivery import DeliverySection

#: Built-in groups: the domains in which the providers themselves offer addresses.
SHIPPED: Mapping[str, Sequence[str]] = {
    "google": ("gmail.com", "googlemail.com", "google.com"),
    "microsoft": (
        "hotmail.be", "hotmail.ca", "hotmail.co.uk", "hotmail.com", "hotmail.de", "hotmail.es", "hotmail.fr",
        "hotmail.it", "hotmail.nl", "live.be", "live.ca", "live.co.uk", "live.com", "live.com.au", "live.de",
        "live.fr", "live.it", "live.nl", "msn.com", "outlook.com", "outlook.com.br", "outlook.de", "outlook.es",
        "outlook.fr", "outlook.it", "outlook.jp", "passport.com", "windowslive.com",
    ),
}  # fmt: skip


def domain_groups(settings: DeliverySection) -> dict[str, str]:
    """The group of each domain that has one.

    A domain that the campaign names, in ``domain_rate`` or in a group of its own, belongs to no built-in group. A group
    in the campaign file replaces the built-in group of the same name.
    """
    own = {domain_name(name): domains for name, domains in settings.domain_groups.items()}
    found = {domain_name(domain): name for name, domains in own.items() for domain in domains}
    named = {domain_name(name) for name in settings.domain_rate}
    for name, domains in SHIPPED.items():
        if name not in own:
            found |= {domain: name for domain in domains if domain not in named and domain not in found}
    return found


def domains_of(settings: DeliverySection, name: str) -> list[str]:
    """The domains that count under ``name`` of ``domain_rate``: those of a group, or the domain itself."""
    name = domain_name(name)
    return [domain for domain, group in domain_groups(settings).items() if group == name] or [name]


def domain_name(name: str) -> str:
    """A domain as in recipients' addresses: lower case, A-labels. The name of a group is returned unchanged."""
    try:
        return name.lower() if name.isascii() else name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return name
