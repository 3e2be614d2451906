"""Blobs as streams: written whole or not at all, read as they were, with no more requests than it takes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from connector.outside.blobs import BLOCK, BlobFile, BlockWriter
from connector.sandbox.proxy import FaultProxy
from connector.sandbox.servers import Azurite, connection_string
from connector.vocabulary.errors import DropUnusable

SMALL = b"Some lines\n" * 100
LARGE = bytes(range(256)) * (BLOCK // 256) + b"and a rest"


@dataclass(frozen=True, slots=True)
class Storage:
    container: ContainerClient
    proxy: FaultProxy

    def requests(self) -> int:
        return len(self.proxy.requests)

    def write(self, *parts: bytes) -> None:
        writer = BlockWriter(self.container, "a/b", "text/plain")
        for part in parts:
            writer.write(part)
        writer.commit()

    def content(self) -> bytes:
        return self.container.download_blob("a/b").readall()

    def pinned(self) -> BlobFile:
        blob = self.container.get_blob_client("a/b").get_blob_properties()
        return BlobFile(self.container, "a/b", etag=blob.etag, size=blob.size)


@pytest.fixture
def storage(azurite: Azurite, containers: dict[str, str]) -> Iterator[Storage]:
    with FaultProxy(azurite.blob_service) as proxy:
        text = connection_string(proxy.url(azurite.blob_service), azurite.queue_service)
        with BlobServiceClient.from_connection_string(text) as service:
            yield Storage(service.create_container(containers["RUNS_CONTAINER"]), proxy)


@pytest.mark.parametrize(("parts", "requests"), [((), 1), ((SMALL, SMALL), 1), ((LARGE, SMALL), 3)])
def test_what_fits_into_a_block_is_written_by_one_request(
    storage: Storage, parts: tuple[bytes, ...], requests: int
) -> None:
    before = storage.requests()
    storage.write(*parts)
    assert storage.requests() - before == requests
    assert storage.content() == b"".join(parts)


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_stream_without_commit_leaves_what_was_there(storage: Storage, content: bytes) -> None:
    storage.write(SMALL)
    BlockWriter(storage.container, "a/b", "text/plain").write(content)
    assert storage.content() == SMALL


def test_a_container_that_is_not_there_is_made(storage: Storage) -> None:
    for content in (SMALL, LARGE):
        storage.container.delete_container()
        storage.write(content)
        assert storage.content() == content


@pytest.mark.parametrize(("content", "requests"), [(SMALL, 1), (LARGE, 2)])
def test_a_blob_is_read_as_a_file_each_block_by_one_request(storage: Storage, content: bytes, requests: int) -> None:
    storage.write(content)
    before = storage.requests()
    file = BlobFile.of(storage.container, "a/b")
    assert file is not None
    stream = io.BufferedReader(file, BLOCK)
    assert b"".join(iter(lambda: stream.read(64 * 1024), b"")) == content
    assert storage.requests() - before == requests


def test_what_is_not_there_is_no_file(storage: Storage) -> None:
    assert BlobFile.of(storage.container, "a/b") is None


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_file_can_be_read_from_anywhere_and_again(storage: Storage, content: bytes) -> None:
    storage.write(content)
    file = storage.pinned()
    for offset, whence, start in ((-7, io.SEEK_END, len(content) - 7), (3, io.SEEK_SET, 3), (2, io.SEEK_CUR, 12)):
        file.seek(offset, whence)
        assert file.read(7) == content[start : start + 7]


def test_a_small_file_is_read_once_however_often_one_goes_back(storage: Storage) -> None:
    storage.write(SMALL)
    file, before = storage.pinned(), storage.requests()
    for _ in range(3):
        file.seek(0)
        assert file.readall() == SMALL
    assert storage.requests() - before == 1


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_file_that_was_replaced_is_no_mixture_of_two(storage: Storage, content: bytes) -> None:
    storage.write(content)
    file = storage.pinned()
    if content == LARGE:
        file.read(9)
    storage.write(b"another")
    with pytest.raises(DropUnusable, match="replaced before it was read to its end"):
        file.readall()
