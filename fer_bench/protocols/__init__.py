"""What is compared with what: tasks, protocols, and the datasets, each declared in one file beside its protocols.

Every module of this package is imported, so that a dataset is known once its file is here.
"""

from __future__ import annotations

import importlib
import pkgutil

from fer_bench.protocols.dataset import DATASETS as DATASETS
from fer_bench.protocols.dataset import DatasetInfo as DatasetInfo
from fer_bench.protocols.dataset import declare as declare
from fer_bench.protocols.dataset import declared as declared
from fer_bench.protocols.dataset import info_at_hand as info_at_hand
from fer_bench.protocols.dataset import info_of as info_of
from fer_bench.protocols.dataset import unknown_dataset as unknown_dataset
from fer_bench.protocols.lookup import VARIANTS as VARIANTS
from fer_bench.protocols.lookup import dataset_name as dataset_name
from fer_bench.protocols.lookup import is_split_otherwise as is_split_otherwise
from fer_bench.protocols.lookup import part_task as part_task
from fer_bench.protocols.lookup import protocol_for as protocol_for
from fer_bench.protocols.lookup import protocol_named as protocol_named
from fer_bench.protocols.lookup import relabelled as relabelled
from fer_bench.protocols.options import DatasetOptions as DatasetOptions
from fer_bench.protocols.options import read_options as read_options
from fer_bench.protocols.protocol import LABELS as LABELS
from fer_bench.protocols.protocol import PROTOCOLS as PROTOCOLS
from fer_bench.protocols.protocol import SELECTED_ON_TEST as SELECTED_ON_TEST
from fer_bench.protocols.protocol import Protocol as Protocol
from fer_bench.protocols.tasks import TASKS as TASKS
from fer_bench.protocols.tasks import VIA as VIA
from fer_bench.protocols.tasks import TaskInfo as TaskInfo
from fer_bench.protocols.tasks import find_task as find_task
from fer_bench.protocols.tasks import learn_classes as learn_classes
from fer_bench.protocols.tasks import learn_values as learn_values
from fer_bench.protocols.tasks import own_dimensions as own_dimensions
from fer_bench.protocols.tasks import own_task as own_task
from fer_bench.protocols.tasks import own_values as own_values
from fer_bench.protocols.tasks import state_classes as state_classes
from fer_bench.protocols.tasks import state_values as state_values
from fer_bench.protocols.union import parts_of as parts_of

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
