"""The promises, each a function whose first line of documentation is the promise; the rows of the checklist it holds come first."""

from collections.abc import Callable

from image_test.promises.contents import is_reproducible, is_small, nothing_else_inside
from image_test.promises.ending import drains_under_load
from image_test.promises.installing import installs_from_an_index
from image_test.promises.memory import memory_is_limited
from image_test.promises.native import a_native_agent_runs_in_the_full_image, numpy_is_refused
from image_test.promises.network import (
    fetches_from_s3,
    names_are_asked_only_for_what_is_granted,
    the_role_of_the_task_is_all_that_is_asked_for,
)
from image_test.promises.starting import (
    any_user,
    explains_itself,
    refusals,
    starts_from_a_cache,
    three_surfaces,
)
from image_test.tests import Tests

Promise = Callable[[Tests], None]

SHORT: list[Promise] = [
    explains_itself,
    three_surfaces,
    refusals,
    fetches_from_s3,
    drains_under_load,
    nothing_else_inside,
]
"""Those CI has time for."""

ALL: list[Promise] = [
    *SHORT,
    installs_from_an_index,
    numpy_is_refused,
    a_native_agent_runs_in_the_full_image,
    the_role_of_the_task_is_all_that_is_asked_for,
    names_are_asked_only_for_what_is_granted,
    memory_is_limited,
    any_user,
    starts_from_a_cache,
    is_small,
    is_reproducible,
]
