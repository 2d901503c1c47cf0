import asyncio
import logging

import pytest

from cisisk.mobility.background import BackgroundTasks
from tests.patience import PATIENCE


async def test_run_returns_the_result_of_the_work() -> None:
    async def work() -> int:
        return 7

    assert await BackgroundTasks().run("work", work()) == 7


async def test_work_continues_when_the_caller_is_cancelled() -> None:
    tasks, begun, release, ended = BackgroundTasks(), asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await release.wait()
        ended.set()

    caller = asyncio.create_task(tasks.run("work", work()))
    await begun.wait()
    caller.cancel()
    await asyncio.wait([caller])
    release.set()
    async with asyncio.timeout(PATIENCE):
        await ended.wait()


async def test_failed_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("broken")

    with caplog.at_level(logging.DEBUG):
        await asyncio.wait([BackgroundTasks().start("work", work())])
    assert caplog.messages == ["task failed: name='work' error=ValueError('broken')"]


async def test_stop_waits_for_tasks_that_end_in_time() -> None:
    tasks = BackgroundTasks()
    task = tasks.start("work", asyncio.sleep(0.01, "done"))
    await tasks.stop(5.0)
    assert task.result() == "done"


async def test_stop_cancels_tasks_that_take_too_long() -> None:
    tasks = BackgroundTasks()
    task = tasks.start("work", asyncio.sleep(3600))
    await tasks.stop(0.01)
    assert task.cancelled()


async def test_stop_without_grace_cancels_at_once() -> None:
    tasks = BackgroundTasks()
    task = tasks.start("work", asyncio.sleep(3600))
    await tasks.stop()
    assert task.cancelled()
