"""Becoming root on a machine: a line that any login shell reads alike, and why it did not work.

The scripts that follow come as its standard input.
"""

from __future__ import annotations

import re

# Announces that the login shell has run what we sent it.
SHELL = "@@shell"
# Announces that sudo has let us in: what comes before it is the login shell's or sudo's own.
READY = "@@root"
# What programs say is compared with English, whatever the machine speaks to its people. C.UTF-8 is
# part of Debian's libc-bin. LANGUAGE goes before all other variables (gettext manual, 2.3.3).
LOCALE = "unset LANGUAGE; export LC_ALL=C.UTF-8"
# sudo may log what it is given as input, and ours holds secrets: so it gets none, and root opens
# the input of the shell above sudo, which has to stay for that. There it is held as 3: dash gives
# itself the redirections of what it starts.
_AS_ROOT = 'sh -c "exec </proc/$$/fd/3; $(printf %b "$0")" sh "${SSH_CONNECTION-}"'
_WITHOUT_PASSWORD = f"sudo -n {_AS_ROOT} </dev/null"
# The password is the first line of the input; printf is part of the shell, and no process. It is
# read before sudo starts: where that asks for none, root's shell reads on at once.
_LINE = "IFS= read -r line"
_WITH_PASSWORD = f'{_LINE}; printf "%s\\n" "$line" | sudo -S -p "" {_AS_ROOT}'


def as_root(command: str, password: bool = False) -> str:
    """Return the line that has a login shell run a command as root, whichever shell that is.

    sh, bash, zsh, fish and csh read it alike: words in single quotes, in which nothing is special
    to any of them. With `password`, the first line of its input is what sudo asks for.
    """
    # What sudo itself says, such as a host name it cannot resolve, is no output of the command.
    # By SSH_CONNECTION, which sudo keeps to itself, a machine knows where we came in.
    own_way = 'export SSH_CONNECTION="$1"'
    script = f"exec 2>&1; umask 022; echo {READY}; {LOCALE}; {own_way}; {command}"
    # To fish a backslash is special before a quote and another one only, to csh before the others.
    word = re.sub(r"['\\!\n]", lambda found: f"\\0{ord(found[0]):03o}", script)
    own = f'{_LINE if password else ":"}; exec sh -c "$(printf %b "$0")" sh "${{SSH_CONNECTION-}}"'
    sudo = _WITH_PASSWORD if password else _WITHOUT_PASSWORD
    outer = f'echo {SHELL}; if [ "$(id -u)" = 0 ]; then {own}; fi; exec 3<&0; {sudo}; exit $?'
    return f"exec sh -c '{outer}' '{word}'"


def why_not_root(user: str, code: int, text: str, said: str, password: bool) -> str:
    """Return why a user did not become root, and what to do, as one sentence.

    `text` and `said` are what came on output and on the channel of errors.
    """
    reason = (said.strip().splitlines()[-1:] or [f"exit code {code}"])[0]
    file = f"/etc/sudoers.d/{user}"
    if SHELL not in text.splitlines():
        shown = " | ".join([*text.strip().splitlines()[-1:], reason])
        return (
            f"the login shell of {user} runs no commands ({shown}); there, give {user} one that "
            "does, by chsh"
        )
    if code == 127:
        return f"there is no sudo ({reason}); install it there, or log in as root"
    if "must have a tty" in said:
        return (
            f"sudo wants a terminal of {user} ({reason}); there, put the line "
            f"'Defaults:{user} !requiretty' into {file}"
        )
    if "/proc/" in reason:
        return f"root may not read another process's input ({reason}); allow it CAP_SYS_PTRACE"
    if password:
        return f"sudo does not let {user} in with the password that was given ({reason})"
    return (
        f"{user} may not become root by 'sudo -n' ({reason}); there, put the line "
        f"'{user} ALL=(ALL) NOPASSWD: ALL' into {file}, or give the password with --ask-sudo"
    )
