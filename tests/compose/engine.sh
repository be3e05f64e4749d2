# Sourced by tests/compose/run: the programs, the engine and the images that it needs.
# shellcheck shell=bash
#
# Nothing is pulled from a registry: images are made from packages of the distribution. The engine
# is one of our own, in a network of its own, or, where none can be started, the one that answers.
# Wants $root, $target, $work and $stitch; sets engine_pid. What is made here, clean_engine undoes.

engine_pid=''

skip() {
    echo "##### tests/compose skipped: no Docker engine can be started here: $1 #####"
    exit 0
}

install_packages() {
    local missing=()
    command -v dockerd >/dev/null || missing+=(docker.io iptables)
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
        missing+=(docker-compose)
    [ ${#missing[@]} != 0 ] || return 0
    command -v apt-get >/dev/null || skip "${missing[*]} missing, and this is not Debian"
    [ "$EUID" = 0 ] || skip "${missing[*]} missing, and neither root nor sudo to install them"
    echo "installing ${missing[*]}"
    # Debian starts the engine on install; ours is started below.
    local guard=/usr/sbin/policy-rc.d guarded=no status=0
    if [ ! -e $guard ]; then
        printf '#!/bin/sh\nexit 101\n' >$guard && chmod 755 $guard && guarded=yes
    fi
    {
        apt-get update -q && DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "${missing[@]}"
    } >"$work/apt.log" 2>&1 || status=$?
    [ $guarded = no ] || rm -f $guard
    [ $status = 0 ] || skip "apt-get failed: $(tail -n 1 "$work/apt.log")"
}

find_engine() {
    local given=${DOCKER_HOST:-}
    if [ "$EUID" = 0 ] && start_engine; then
        return
    fi
    unset DOCKER_HOST
    [ -z "$given" ] || export DOCKER_HOST=$given
    if docker info >/dev/null 2>&1; then
        echo "engine: the one that answers here"
    elif [ "$EUID" = 0 ]; then
        skip "$(grep -v 'level=\(info\|debug\|warning\)' "$work/dockerd.log" | tail -n 1)"
    else
        skip "none answers, and neither root nor sudo to start one"
    fi
}

# Its ports, bridges and rules meet nobody else's and are gone with it. It ends with this script,
# however that ends, but is out of reach of signals to the script's process group: containers are
# removed first.
start_engine() {
    local variant
    export DOCKER_HOST=unix://$work/docker.sock
    for variant in "" "--storage-driver=vfs" "--iptables=false" "--storage-driver=vfs --iptables=false"; do
        # shellcheck disable=SC2086 # the words of a variant are arguments
        setsid setpriv --pdeathsig TERM unshare --net \
            sh -c 'ip link set lo up 2>/dev/null; exec dockerd "$@"' dockerd \
            --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" \
            --host "$DOCKER_HOST" $variant >"$work/dockerd.log" 2>&1 </dev/null &
        engine_pid=$!
        if eventually 20 engine_answers && docker info >/dev/null 2>&1; then
            echo "engine: $(docker info --format '{{.ServerVersion}}, {{.Driver}}') ${variant:-(defaults)}"
            return 0
        fi
        stop_engine
    done
    return 1
}

# Also true when the engine has ended: there is nothing left to wait for.
engine_answers() {
    ! kill -0 "$engine_pid" 2>/dev/null || docker info
}

stop_engine() {
    [ -n "$engine_pid" ] || return 0
    kill "$engine_pid" 2>/dev/null
    timeout 20 tail --pid="$engine_pid" -f /dev/null || kill -KILL "$engine_pid" 2>/dev/null
    wait "$engine_pid" 2>/dev/null
    engine_pid=''
}

clean_engine() {
    # With an engine of our own they go with it.
    if [ -z "$engine_pid" ] && [ -f "$work/tags" ]; then
        docker image prune --force --filter label=servicestitch.test=compose
        xargs docker image rm <"$work/tags"
    fi >/dev/null 2>&1
    stop_engine
}

# A minimal system with what the tests call in it, kept between runs.
base_archive() {
    local release id components=main packages=curl,iptables,nats-server,python3 archive
    # shellcheck disable=SC1091 # every Debian has it
    release=$(. /etc/os-release && echo "$VERSION_CODENAME") || return 1
    # shellcheck disable=SC1091
    id=$(. /etc/os-release && echo "$ID")
    [ "$id" != ubuntu ] || components=main,universe
    archive=$target/compose/base-$release-${packages//,/-}.tar
    if [ ! -f "$archive" ]; then
        echo "making a base system of $release" >&2
        mkdir -p "$target/compose"
        # An older one lacks what the tests call now.
        rm -f "$target"/compose/base-*.tar
        {
            timeout 600 debootstrap --variant=minbase --components="$components" \
                --include="$packages" "$release" "$work/base" &&
                tar -C "$work/base" --exclude=./var/cache/apt -cf "$archive.new" . &&
                mv "$archive.new" "$archive"
        } >"$work/base.log" 2>&1 || { tail -n 5 "$work/base.log" >&2; return 1; }
        rm -rf "$work/base"
        # Whoever owns the checkout can remove it again.
        chown -R --reference="$root" "$target/compose"
    fi
    echo "$archive"
}

# make_images ARCHIVE: the base, a broker and ours; a broker that is there already is taken.
make_images() {
    docker import "$1" local/stitch-base && echo local/stitch-base >>"$work/tags" || return 1
    if ! docker image inspect nats:2.10-alpine >/dev/null 2>&1; then
        docker import --change 'CMD ["nats-server", "-p", "4222", "-m", "8222"]' "$1" \
            nats:2.10-alpine && echo nats:2.10-alpine >>"$work/tags" || return 1
    fi
    BASE=local/stitch-base "$root/docker/from-binary" "$stitch" local/stitch &&
        echo local/stitch >>"$work/tags"
}
