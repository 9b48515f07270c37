#!/bin/sh
# Makes the timer of one campaign, or removes it: `make schedule` and `make unschedule` call this with FILE and WHEN.
# A schedule that fails leaves the user's systemd folder as it was, with the timer of before if there was one.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user

fail() { # one sentence, then the next thing to type
    printf '%s\nNext: %s\n' "$1" "$2" >&2
    exit 1
}

name_unit() { # sets stem and unit
    stem=$(basename "$1" .toml)
    unit=campaign@$stem
    case $1 in *.toml) ;; *) fail "$1 is no campaign file: its name ends in .toml." "name one: CAMPAIGN=path.toml" ;; esac
    case $stem in
    '' | *[!A-Za-z0-9_.-]*) fail "$1 has a name that systemd cannot put into a unit's." "rename it to letters, digits, - and _" ;;
    esac
}

find_home() { # sets home
    [ -f "$1" ] || fail "There is no campaign file $1." "name yours: CAMPAIGN=path.toml"
    home=$(cd "$(dirname "$1")" && pwd)
    case $home in
    *[\"%\\]*) fail "$home holds a character that a unit file reads as its own." "move the campaign into another folder" ;;
    esac
}

ask_systemd() {
    command -v systemctl >/dev/null ||
        fail "This machine has no systemctl; nothing was scheduled." "crontab -e, as in deploy/cron/campaign.cron"
    systemctl --user daemon-reload || fail \
        "No systemd answers for $(id -un) (the line above says why); nothing was scheduled." \
        "loginctl enable-linger $(id -un), log in again as that user (su and sudo will not do), then make schedule"
}

refuse_bad_time() {
    if command -v systemd-analyze >/dev/null && ! systemd-analyze calendar "$1" >/dev/null; then
        fail "WHEN=\"$1\" is no time that systemd knows; nothing was scheduled." "systemd-analyze calendar \"Mon 08:00\""
    fi
}

refuse_other_campaign() { # the same file name in another folder would lose its timer
    other=$(sed -n 's/.*"CAMPAIGN_HOME=\([^"]*\)".*/\1/p' "$units/$unit.service.d/here.conf" 2>/dev/null || true)
    [ -z "$other" ] || [ "$other" = "$home" ] ||
        fail "$unit.timer already stands for $other/$stem.toml." "make unschedule CAMPAIGN='$other/$stem.toml', or rename one"
}

ours() { # what a schedule writes, one name a line
    printf '%s\n' campaign@.service campaign@.timer "$unit.service.d" "$unit.timer.d"
}

keep() { # a copy of all that `undo` puts back
    before=$(mktemp -d)
    first_missing=$units
    while [ ! -d "$(dirname "$first_missing")" ]; do first_missing=$(dirname "$first_missing"); done
    [ ! -d "$units" ] || first_missing=
    ours | while read -r one; do [ ! -e "$units/$one" ] || cp -Rp "$units/$one" "$before/"; done
    trap undo EXIT
    trap 'exit 130' INT
    trap 'exit 143' HUP TERM
}

undo() {
    trap - EXIT
    again=$(ls "$before/$unit.timer.d" 2>/dev/null || true)
    [ -n "$again" ] || systemctl --user disable --now "$unit.timer" 2>/dev/null || true
    ours | while read -r one; do
        rm -rf "${units:?}/$one"
        [ ! -e "$before/$one" ] || cp -Rp "$before/$one" "$units/"
    done
    rm -rf "$before" ${first_missing:+"$first_missing"}
    systemctl --user daemon-reload 2>/dev/null || true
    [ -z "$again" ] || systemctl --user restart "$unit.timer" 2>/dev/null || true
    printf 'Nothing was scheduled%s.\n' "${again:+ anew; the timer of before is as it was}" >&2
}

write_units() { # $1: the time
    mkdir -p "$units/$unit.service.d" "$units/$unit.timer.d"
    cp "$here/campaign@.service" "$here/campaign@.timer" "$units/"
    {
        printf '[Service]\nEnvironment="CAMPAIGN_HOME=%s" "CAMPAIGN_BIN=%s"\nLoadCredential=\n' "$home" "$program"
        if [ -e "$home/relay.password" ]; then
            printf 'LoadCredential=relay:%s/relay.password\n' "$home"
        else
            printf 'UnsetEnvironment=CAMPAIGN__DELIVERY__PASSWORD_FILE\n'
        fi
    } >"$units/$unit.service.d/here.conf"
    printf '[Timer]\nOnCalendar=\nOnCalendar=%s\n' "$1" >"$units/$unit.timer.d/when.conf"
}

schedule() {
    program=$(cd "$here/../.." && pwd)/.venv/bin/campaign
    ask_systemd
    refuse_bad_time "$1"
    refuse_other_campaign
    keep
    write_units "$1"
    systemctl --user daemon-reload
    systemctl --user enable "$unit.timer"
    systemctl --user restart "$unit.timer"
    trap - EXIT
    rm -rf "$before"
    printf '%s.timer starts %s/%s.toml at: %s\n' "$unit" "$home" "$stem" "$1"
    [ "$(loginctl show-user "$(id -un)" --property=Linger 2>/dev/null)" = Linger=yes ] ||
        printf 'It runs only while you are logged in, unless you type: loginctl enable-linger %s\n' "$(id -un)"
}

unschedule() {
    systemctl --user disable --now "$unit.timer"
    rm -rf "$units/$unit.service.d" "$units/$unit.timer.d"
    systemctl --user daemon-reload
}

name_unit "$2"
case $1 in
schedule)
    find_home "$2"
    schedule "$3"
    ;;
unschedule) unschedule ;;
esac
