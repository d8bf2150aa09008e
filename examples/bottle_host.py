"""The central system in a Bottle application: both are served by one process, in one hub of gevent.

Run it:    pip install bottle && python examples/bottle_host.py
"""

from gevent import monkey

monkey.patch_all()  # the application's choice; the library patches nothing

from http.client import HTTPConnection  # noqa: E402

from bottle import Bottle, response  # type: ignore[import-untyped]  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from chargehand import CentralSystem, Settings, TicketError  # noqa: E402
from chargehand.simulator import ChargePoint  # noqa: E402


def make_app(system: CentralSystem) -> Bottle:
    """Make the application; its views use the system as they would use a database."""
    app = Bottle()

    def charge_points() -> dict[str, list[str]]:
        return {"charge_points": [one.id for one in system.charge_points()]}

    def unlock(charge_point_id: str) -> dict[str, str]:
        try:
            answer = system.unlock(charge_point_id, evse=1, timeout_s=30).result()
        except TicketError as error:
            response.status = 502
            return {"error": str(error)}
        return {"status": str(answer.status)}

    app.route("/charge-points", "GET", charge_points)
    app.route("/charge-points/<charge_point_id>/unlock", "POST", unlock)
    return app


def main() -> None:
    """Serve charge points and pages, and ask for a page."""
    with CentralSystem(Settings(port=0, store="memory")) as system:
        pages = WSGIServer(("127.0.0.1", 0), make_app(system), log=None)
        pages.start()  # a program that does nothing else calls serve_forever()
        with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point:
            charge_point.boot()
            client = HTTPConnection("127.0.0.1", pages.server_port)
            for method, path in (("GET", "/charge-points"), ("POST", "/charge-points/CP1/unlock")):
                client.request(method, path)
                print(client.getresponse().read().decode().strip())
            client.close()
        pages.stop()


if __name__ == "__main__":
    main()
