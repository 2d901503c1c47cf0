# The project and everything it depends on as wheels: some of it is published as source only.
FROM python:3.12-slim AS wheels
WORKDIR /source
COPY pyproject.toml README.md ./
COPY cisisk cisisk
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[ftps]'

FROM python:3.12-slim
# A bind mount for the data has to belong to this user: chown 10069:10069.
RUN groupadd --gid 10069 cisisk \
    && useradd --uid 10069 --gid cisisk --home-dir /var/lib/cisisk --no-create-home --shell /usr/sbin/nologin cisisk \
    && install --directory --owner cisisk --group cisisk --mode 0700 /var/lib/cisisk
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'cisisk[ftps]'
# Port 69 for a user who is not root. In a network of its own Docker opens the low ports to everybody
# (net.ipv4.ip_unprivileged_port_start=0), but with --network host, which TFTP is best served by, the host's own setting
# counts and cannot be changed from here. A capability given with --cap-add does not reach a user who is not root
# unless the program file carries it, so it does: Docker grants NET_BIND_SERVICE by default. With --cap-drop ALL add it
# again (--cap-add NET_BIND_SERVICE), or Python cannot be started at all; with no-new-privileges use a higher tftp.port.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libcap2-bin \
    && setcap cap_net_bind_service=+ep "$(readlink --canonicalize /usr/local/bin/python3)" \
    && apt-get purge --yes --auto-remove libcap2-bin \
    && rm -rf /var/lib/apt/lists/*

USER 10069:10069
VOLUME /var/lib/cisisk
EXPOSE 8080/tcp 6970/tcp 69/udp 21/tcp 30000-30049/tcp
# Over the control socket, which is there whatever ports and certificates are set.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["python3", "-c", "\
import http.client, socket, sys\n\
connection = http.client.HTTPConnection('cisisk', timeout=5)\n\
connection.sock = socket.socket(socket.AF_UNIX)\n\
connection.sock.settimeout(5)\n\
connection.sock.connect('/var/lib/cisisk/control.sock')\n\
connection.request('GET', '/api/v1/health')\n\
sys.exit(connection.getresponse().status != 200)\n\
"]
# Without a shell between, so that SIGTERM arrives; an orderly stop can take longer than Docker's 10 s (--stop-timeout).
ENTRYPOINT ["cisisk"]
CMD ["serve"]
