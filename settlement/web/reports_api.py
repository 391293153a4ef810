"""Reports over HTTP: the catalogue, each report with its signed manifest, and published editions."""

import asyncio
import base64
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import BinaryIO

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from fare_chain.errors import Unknown, Untrusted
from settlement.editions.asking import PARAMETERS, read_wanted
from settlement.editions.from_store import render_stored, resolve_stored
from settlement.reports.catalogue import REPORTS, Readers, Report, find_report
from settlement.reports.manifest import Manifest, read_manifest_text
from settlement.reports.rendering import MEDIA_TYPES, file_name
from settlement.store import editions
from settlement.web.access import caller_of
from settlement.web.answers import Json
from settlement.web.looks import hold_to_export
from settlement.web.parameters import parameters_of
from settlement.web.parts import Parts, parts_of
from settlement.web.permits import Role, hold_report

router = APIRouter()
MANIFEST_HEADER = "Report-Manifest"
"""The signed manifest of the body, in base64: a report and what vouches for it come in one answer."""
_PIECE = 1 << 16


@router.get("/v1/reports")
async def list_reports() -> Response:
    """The catalogue: every report with its columns and headings."""
    return Json({"reports": [_told(report) for report in REPORTS.values()]})


@router.get("/v1/reports/{name}")
async def get_report(request: Request, name: str) -> Response:
    """A report as a file; its ETag is the hash of its bytes, its manifest stands in a header where the house has a key for it."""
    file, manifest, parts = await _rendered(request, name)
    headers = _headers(manifest, _signed(parts, manifest) if parts.reports_key else None)
    if request.headers.get("if-none-match") == headers["ETag"]:
        await asyncio.to_thread(file.close)
        return Response(status_code=304, headers=headers)
    media_type = MEDIA_TYPES[manifest.form]
    return StreamingResponse(_pieces(file), media_type=media_type, headers=headers, background=BackgroundTask(file.close))


@router.get("/v1/reports/{name}/manifest")
async def get_manifest(request: Request, name: str) -> Response:
    """The signed manifest alone."""
    file, manifest, parts = await _rendered(request, name)
    await asyncio.to_thread(file.close)
    return PlainTextResponse(_signed(parts, manifest))


@router.post("/v1/reports/{name}/editions")
async def post_edition(request: Request, name: str) -> Response:
    """Publish a report, which is the scheme's to do: the same bytes are the same edition, others the next one."""
    if caller_of(request).role is not Role.SCHEME:
        raise Untrusted("only the scheme publishes: sign the token with its access key")
    file, manifest, parts = await _rendered(request, name, may_read=True)

    def sign(number: int, supersedes: bytes) -> str:
        return _signed(parts, replace(manifest, edition=number, supersedes=supersedes))

    try:
        async with parts.engine.begin() as connection:
            published = await editions.publish(connection, manifest.document, manifest.as_of_size, manifest.sha256, sign, file)
    finally:
        await asyncio.to_thread(file.close)
    return Json(_edition(published))


@router.get("/v1/editions/{document}")
async def list_editions(request: Request, document: str) -> Response:
    """The editions of a document."""
    async with parts_of(request).engine.connect() as connection:
        published = await editions.editions_of(connection, document)
    for one in published[:1]:
        await _check_published(request, one)
    return Json({"document": document, "editions": [_edition(one) for one in published]})


@router.get("/v1/editions/{document}/{number}")
async def get_edition(request: Request, document: str, number: int) -> Response:
    """A published edition: the bytes and the manifest that were published."""
    parts = parts_of(request)
    async with parts.engine.connect() as connection:
        published = await editions.find_edition(connection, document, number)
    manifest = await _check_published(request, published)
    headers = _headers(manifest, published.manifest)
    return StreamingResponse(_stored(parts, published), media_type=MEDIA_TYPES[manifest.form], headers=headers)


async def _rendered(request: Request, name: str, *, may_read: bool = False) -> tuple[BinaryIO, Manifest, Parts]:
    """The report that a request asks for, in a temporary file without a name."""
    parts = parts_of(request)
    wanted = read_wanted(name, _parameters(request))
    async with parts.reporting:
        state = parts.clearing.state
        resolved = await resolve_stored(parts.engine, state, wanted)
        if not may_read:
            await _check_party(request, resolved.asked.report, resolved.asked.party)
        file: BinaryIO = await asyncio.to_thread(tempfile.TemporaryFile)
        try:
            manifest = await render_stored(parts.engine, state, resolved, file)
        except BaseException:
            file.close()
            raise
    return file, manifest, parts


def _parameters(request: Request) -> dict[str, str]:
    given = parameters_of(request, (*PARAMETERS, "look"))
    given.pop("look", None)
    return given


async def _check_party(request: Request, report: Report, party: int | None) -> None:
    """Untrusted unless whoever asks may see it: sums are for all who have a key, detail for the member itself, or by a look."""
    if hold_report(caller_of(request), report.name, party, is_of_sums=report.readers is Readers.PUBLIC):
        await hold_to_export(request, request.query_params.get("look", ""))


async def _check_published(request: Request, published: editions.Edition) -> Manifest:
    """The same for what is published; the manifest that says whom it is about."""
    manifest = read_manifest_text(published.manifest.rpartition("\n\n")[0] + "\n")
    numbers = {name: number for number, name in parts_of(request).members.items()}
    await _check_party(request, find_report(manifest.report), numbers.get(manifest.party.partition("/")[0]))
    return manifest


def _signed(parts: Parts, manifest: Manifest) -> str:
    if parts.reports_key is None:
        raise Unknown(
            "this house has no key for reports: make one with `fare-chain keys new house-reports --owner 0 --use report`, "
            "its private half into the house's keys, its entry to the members"
        )
    return manifest.sign(parts.sequencer.head.origin, parts.reports_key)


def _headers(manifest: Manifest, note: str | None) -> dict[str, str]:
    headers = {
        "ETag": f'"{manifest.sha256.hex()}"',
        "Content-Length": str(manifest.length),
        "Content-Disposition": f'attachment; filename="{file_name(manifest)}"',
        "Cache-Control": "no-cache",
    }
    return headers if note is None else headers | {MANIFEST_HEADER: base64.b64encode(note.encode()).decode("ascii")}


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    await asyncio.to_thread(file.seek, 0)
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


async def _stored(parts: Parts, published: editions.Edition) -> AsyncIterator[bytes]:
    async with parts.engine.connect() as connection:
        async for data in editions.read_parts(connection, published.document, published.edition):
            yield data


def _edition(published: editions.Edition) -> dict[str, object]:
    return {
        "document": published.document,
        "edition": published.edition,
        "as_of_size": published.as_of_size,
        "sha256": published.sha256.hex(),
        "manifest": published.manifest,
    }


def _told(report: Report) -> dict[str, object]:
    return {
        "name": report.name,
        "number": report.number,
        "title": {"zh": report.title_zh, "en": report.title_en},
        "readers": report.readers.value,
        "bases": report.bases,
        "per": report.per,
        "formats": report.forms,
        "columns": [
            {"name": it.name, "zh": it.zh, "en": it.en, "kind": it.kind.value, "summed": it.summed} for it in report.columns
        ],
    }
