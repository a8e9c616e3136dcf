"""The admin page: progress and reliability per rater, and the export."""

from __future__ import annotations

from dataclasses import dataclass, fields
from statistics import median
from typing import Any

import pandas as pd
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fer_bench.annotate.access import BAD_LINK, require_staff, set_cookie, site_of
from fer_bench.annotate.answers import LISTS, Answer
from fer_bench.annotate.database import connect
from fer_bench.annotate.export import csv_bytes, parquet_bytes, read_answers
from fer_bench.annotate.quality import Consistency, Overlap, consistency, overlap_score
from fer_bench.annotate.store import AnswerStore
from fer_bench.annotate.study import Study


@dataclass(frozen=True)
class RaterSummary:
    """One line of the admin page; counts and times without practice."""

    name: str
    consented_at: str
    total: int
    answered: int
    skipped: int
    last_saved: str
    median_seconds: float | None
    overlap: Overlap
    consistency: Consistency


def summaries(study: Study, store: AnswerStore) -> list[RaterSummary]:
    """Progress, overlap score and consistency of every rater, in the order of their creation.

    Args:
        study: holds the expected answers.
        store: the study's database.
    """
    db = connect(store.path, read_only=True)
    try:
        raters = db.execute(
            "SELECT r.name, r.consented_at, COUNT(p.position) AS total FROM raters r LEFT JOIN presentations p ON"
            " p.rater_id = r.rater_id AND p.kind <> 'practice' GROUP BY r.rater_id ORDER BY r.rater_id"
        ).fetchall()
    finally:
        db.close()
    table = read_answers(store.path)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table[table["kind"] != "practice"].to_dict("records"):
        rows.setdefault(str(row["rater"]), []).append({str(key): value for key, value in row.items()})
    expected = {image.name: answer for image, answer in study.catch}
    return [
        _summary(rater["name"], rater["consented_at"] or "", rater["total"], rows.get(rater["name"], []), expected)
        for rater in raters
    ]


def _summary(
    name: str, consented_at: str, total: int, rows: list[dict[str, Any]], expected: dict[str, Any]
) -> RaterSummary:
    answered = [row for row in rows if row["status"] == "answered"]
    times = [float(row["response_ms"]) / 1000 for row in answered if not pd.isna(row["response_ms"])]
    catch = [(expected[row["image"]], _answer(row)) for row in answered if row["image"] in expected]
    first = {row["image"]: _answer(row) for row in answered if row["presentation"] == 1}
    repeated = [
        (first[row["image"]], _answer(row)) for row in answered if row["presentation"] == 2 and row["image"] in first
    ]
    return RaterSummary(
        name,
        consented_at,
        total,
        len(answered),
        len(rows) - len(answered),
        max((str(row["saved_at"]) for row in rows), default=""),
        median(times) if times else None,
        overlap_score(catch),
        consistency(repeated),
    )


def _answer(row: dict[str, Any]) -> Answer:
    values: dict[str, Any] = {}
    for field in fields(Answer):
        value = row[field.name]
        values[field.name] = (
            tuple(str(value).split(";"))
            if field.name in LISTS and value
            else ()
            if field.name in LISTS
            else None
            if pd.isna(value)
            else value
        )
    return Answer(**values)


async def enter(request: Request) -> Response:
    """The admin's link."""
    site = site_of(request)
    token = request.path_params["token"]
    if not site.store.staff_may("admin", token):
        raise HTTPException(404, BAD_LINK)
    response = site.pages.page("staff_welcome.html", target="/admin", what="progress of all raters")
    set_cookie(request, response, "admin", token)
    return response


async def overview(request: Request) -> Response:
    """Progress per rater."""
    require_staff(request, "admin")
    site = site_of(request)
    lines = await run_in_threadpool(summaries, site.study, site.store)
    return site.pages.page(
        "admin.html",
        raters=lines,
        images=len(site.study.main),
        catches=len(site.study.catch),
        form=site.study.file.form,
    )


async def export_csv(request: Request) -> Response:
    """All answers as CSV."""
    return await _export(request, "csv", "text/csv; charset=utf-8")


async def export_parquet(request: Request) -> Response:
    """All answers as Parquet."""
    return await _export(request, "parquet", "application/vnd.apache.parquet")


async def _export(request: Request, suffix: str, media_type: str) -> Response:
    require_staff(request, "admin")
    site = site_of(request)
    table = await run_in_threadpool(read_answers, site.store.path)
    content = await run_in_threadpool(csv_bytes if suffix == "csv" else parquet_bytes, table)
    name = f"{site.study.file.name}-{site.study.file.version}.{suffix}"
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})


ROUTES = [
    Route("/admin/enter/{token}", enter),
    Route("/admin", overview),
    Route("/admin/answers.csv", export_csv),
    Route("/admin/answers.parquet", export_parquet),
]
