# What the scripts need before they can work: packages of the system and the virtual environment.
# Sourced by run, test and lint in the root of the project; POSIX sh.  Says what it does on standard error.

venv=${VENV:-.venv}
python=$venv/bin/python
oldest_python='3.10'
# Its declared dependency is torch, which the model in it does not need: so pyproject.toml cannot ask for it.
voice_detector='silero-vad==6.2.3'
sample_imports='av flask gunicorn hassil httptools numpy onnxruntime openai pocketsphinx soxr uvicorn_worker uvloop'

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$1"
    exit 1
}

# set_up [EXTRA]: make the virtual environment with the project in it, unless that was done.
set_up() {
    is_set_up "$@" && return
    make_venv
    say "Installing Earshot into $venv, which takes a minute and 500 MB …"
    "$python" -m pip install -qq --disable-pip-version-check --editable ".${1:+[$1]}" ||
        fail "The Python packages could not be installed; pip says why above. Run this again to go on."
    add_voice_detector
    cp pyproject.toml "$(stamp "$@")"
}

# Install the better voice detector; the service listens with a plainer one where it cannot be had.
add_voice_detector() {
    has_voice_detector || "$python" -m pip install -qq --disable-pip-version-check --no-deps "$voice_detector" ||
        say "The voice detector $voice_detector could not be installed; pip says why above. Earshot works without it."
}

has_voice_detector() {
    "$python" -c "import sys; from importlib.util import find_spec; sys.exit(find_spec('silero_vad') is None)"
}

# Say whether what is installed is what pyproject.toml asks for, and is found by the Python of today.
is_set_up() {
    cmp -s pyproject.toml "$(stamp "$@")" && "$python" -c "
import sys
from importlib.util import find_spec
sys.exit(any(find_spec(name) is None for name in '$sample_imports'.split()))"
}

# Print where a copy of the pyproject.toml lies that was installed.
stamp() {
    echo "$venv/installed${1:+-$1}.toml"
}

make_venv() {
    if "$python" -c "import pip, sys; sys.exit(sys.version_info < (${oldest_python%.*}, ${oldest_python#*.}))" 2>/dev/null; then
        return
    fi
    system_python=$(find_python) || fail_without_python
    if ! "$system_python" -c 'import ensurepip, venv' 2>/dev/null; then
        install_packages python3-venv || fail "$system_python cannot make a virtual environment. Install what is missing:
    sudo apt-get install python3-venv"
    fi
    say "Making a virtual environment in $venv with $("$system_python" --version) …"
    "$system_python" -m venv --clear "$venv" || fail "The virtual environment could not be made; $system_python says why above."
}

# Print the name of a Python that is new enough: $PYTHON where it is set, else the system's usual one.
find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if is_new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    install_packages python3 python3-venv && is_new_enough python3 && echo python3
}

is_new_enough() {
    "$1" -c "import sys; sys.exit(sys.version_info < (${oldest_python%.*}, ${oldest_python#*.}))" 2>/dev/null
}

fail_without_python() {
    found=$(python3 --version 2>/dev/null) || found='none'
    fail "Python $oldest_python or newer is needed; found: $found. Install it:
    sudo apt-get install python3 python3-venv
or name another one, as in PYTHON=/usr/local/bin/python3.12 $0"
}

# install_packages NAME...: install packages of Debian and its kin that are not there yet; fails where that cannot be done.
install_packages() {
    command -v dpkg-query >/dev/null && has_packages "$@" && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
    say "Installing $* with apt-get …"
    if [ -z "${apt_is_updated:-}" ]; then
        apt-get update -qq >&2 || return
        apt_is_updated=yes
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}

has_packages() {
    for name in "$@"; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || return
    done
}
