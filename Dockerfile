# Build wheels of the project and its dependencies: some are published as source only.
FROM python:3.12-slim AS wheels
WORKDIR /source
COPY pyproject.toml README.md ./
COPY cisisk cisisk
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[ftps]'

FROM python:3.12-slim
# A bind mount for the data must belong to this user: chown 10069:10069.
RUN groupadd --gid 10069 cisisk \
    && useradd --uid 10069 --gid cisisk --home-dir /var/lib/cisisk --no-create-home --shell /usr/sbin/nologin cisisk \
    && install --directory --owner cisisk --group cisisk --mode 0700 /var/lib/cisisk
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'cisisk[ftps]'
# Port 69 without root. In a container network Docker allows low ports to all users
# (net.ipv4.ip_unprivileged_port_start=0). With --network host, which suits TFTP best, the setting of the host applies
# and cannot be changed here. A capability reaches an unprivileged user only through the program file, hence setcap;
# Docker grants NET_BIND_SERVICE by default. With --cap-drop ALL add --cap-add NET_BIND_SERVICE, otherwise Python does
# not start. With no-new-privileges use a higher tftp.port.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libcap2-bin \
    && setcap cap_net_bind_service=+ep "$(readlink --canonicalize /usr/local/bin/python3)" \
    && apt-get purge --yes --auto-remove libcap2-bin \
    && rm -rf /var/lib/apt/lists/*

USER 10069:10069
VOLUME /var/lib/cisisk
EXPOSE 8080/tcp 6970/tcp 69/udp 21/tcp 30000-30049/tcp
# Uses the control socket, which does not depend on the configured ports and certificates.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["python3", "-c", "\
import http.client, socket, sys\n\
connection = http.client.HTTPConnection('cisisk', timeout=5)\n\
connection.sock = socket.socket(socket.AF_UNIX)\n\
connection.sock.settimeout(5)\n\
connection.sock.connect('/var/lib/cisisk/control.sock')\n\
connection.request('GET', '/api/v1/health')\n\
sys.exit(connection.getresponse().status != 200)\n\
"]
# No shell, so that SIGTERM reaches Cisisk. A clean stop can take longer than Docker's 10 s: see --stop-timeout.
ENTRYPOINT ["cisisk"]
CMD ["serve"]
