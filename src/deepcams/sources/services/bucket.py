"""A public bucket that speaks S3, read without an account by many requests at once.

obstore makes the requests; trying again is done here, so that it is bounded by the configuration, told in the log, and
ends in a sentence. An answer counts when its length, and its MD5 where the server's ETag is one, are right.
"""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import timedelta
from typing import TypeVar

from obstore.exceptions import BaseError
from obstore.store import S3Store

from deepcams.credentials import hide
from deepcams.sources.checks import kind_of
from deepcams.sources.services.http import PASSING, Again, LoginNeeded, NotThere, ServiceError
from deepcams.version import VERSION

T = TypeVar("T")
_LONGEST_WAIT = 120.0  # seconds
_STATUS = re.compile(r"status code: (\d{3})")
_KIND = re.compile(r"kind: (Connect|Timeout|Interrupted|Decode|Request)")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_SLOWER = (429, 503)  # these mean everybody here
_log = logging.getLogger(__name__)


class Bucket:
    """One bucket, within one event loop.

    service : its name in messages.  services : the section of the configuration (tries, wait, timeout, archive).
    """

    def __init__(self, name: str, service: str, services: dict):
        settings = services["archive"]
        self.service, self.address = service, f"{settings['url'].rstrip('/')}/{name}"
        self.connections = settings["connections"]
        self._tries, self._wait, self._timeout = services["tries"], services["wait"], services["timeout"]
        self._slots = asyncio.Semaphore(self.connections)
        self._resume = 0.0
        self._store = S3Store(
            name,
            endpoint=settings["url"].rstrip("/"),
            region="us-east-1",
            skip_signature=True,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": True,
                "user_agent": f"deepcams/{VERSION}",
                "connect_timeout": timedelta(seconds=min(30.0, self._timeout)),
                "read_timeout": timedelta(seconds=self._timeout),
                "timeout": timedelta(seconds=10 * self._timeout),
            },
            retry_config={"max_retries": 0},
        )

    async def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly in `prefix`."""
        found = await self._tried(prefix, lambda: self._store.list_with_delimiter_async(prefix))
        return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    async def names(self, prefix: str) -> list[str]:
        """Names of the objects directly in the folder `prefix`; none where there is no such folder."""
        found = await self._tried(prefix, lambda: self._store.list_with_delimiter_async(prefix))
        return [item["path"].rpartition("/")[2] for item in found["objects"]]

    async def content(self, key: str) -> bytes:
        """All bytes of an object. Raises ServiceError: NotThere if there is none."""
        return await self._tried(key, lambda: self._checked(key))

    async def _checked(self, key: str) -> bytes:
        answer = await self._store.get_async(key)
        content, size = bytes(await answer.bytes_async()), answer.meta["size"]
        if kind_of(content[:512]) == "html":
            raise LoginNeeded(
                f"{self.service} gave a page of HTML in place of {self.address}/{key}. Open the address in a browser "
                "to see what stands between."
            )
        if len(content) != size:
            raise Again(f"ended the transfer after {len(content)} of {size} bytes")
        sum_ = _MD5.fullmatch(answer.meta["e_tag"] or "")
        if sum_ and hashlib.md5(content, usedforsecurity=False).hexdigest() != sum_.group(1):
            raise Again("sent other bytes than its checksum is of")
        return content

    async def _tried(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        shown, last = f"{self.address}/{what}", None
        for number in range(self._tries):
            try:
                async with self._slots:
                    await asyncio.sleep(max(0.0, self._resume - time.monotonic()))
                    return await attempt()
            except FileNotFoundError as error:
                raise NotThere(f"{self.service} has no {shown}.", 404) from error
            except Again as error:
                last = error
            except BaseError as error:
                last = self._understood(error)
                if last.status is not None and last.status not in PASSING:
                    raise self._refused(last, shown) from error
            if number + 1 == self._tries:
                break
            pause = min(self._wait * 2**number, _LONGEST_WAIT)
            if last.status in _SLOWER:
                self._resume = max(self._resume, time.monotonic() + pause)
            _log.info("%s", hide(f"{self.service} {last} ({shown}); try {number + 2} in {pause:.3g} s"))
            await asyncio.sleep(pause)
        times = "once" if self._tries == 1 else f"{self._tries} times in a row"
        raise ServiceError(
            f"{self.service} {last}, {times} ({shown}). Try again later with the same command; it goes on where it "
            "stopped.",
            last.status,
        )

    def _refused(self, fault: Again, shown: str) -> ServiceError:
        kind = NotThere if fault.status == 404 else ServiceError
        return kind(
            f"{self.service} {fault} to {shown}. The bucket is public and needs no account: check "
            "services.archive.url, and whether the service has moved.",
            fault.status,
        )

    def _understood(self, error: BaseError) -> Again:
        """What obstore's long text means."""
        text = str(error)
        status = _STATUS.search(text)
        if status:
            message = _MESSAGE.search(text.partition("\n\nDebug source")[0])
            said = f": {message.group(1).rstrip('.')}" if message else ""
            return Again(f"answered {status.group(1)}{said}", int(status.group(1)))
        if "redirect" in text:
            return Again("answered 301: the bucket is at another address", 301)
        kind = _KIND.search(text)
        words = {
            "Connect": "could not be reached (connection refused, or no such name)",
            "Timeout": f"did not answer within {self._timeout:g} s",
            "Interrupted": "cut the connection",
        }
        if kind and kind.group(1) in words:
            return Again(words[kind.group(1)])
        return Again(f"sent an answer that makes no sense ({text.splitlines()[0][:200] if text else 'empty'})")


async def together(work: Iterable[Coroutine[object, object, T]]) -> list[T]:
    """Do all of `work` at once; the first failure stops the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(item) for item in work]
    return [task.result() for task in tasks]


def run(work: Coroutine[object, object, T]) -> T:
    """Run `work` to its end; of failures that came together the first is raised, as it was."""
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
