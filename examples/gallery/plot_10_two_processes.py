"""
Two processes with torchrun
===========================

On a machine with several devices, or on several machines, a fit runs under ``torchrun`` as it is: there is no option to
set. Here two processes share one CPU.
"""

# %%
# The script that both processes run. Nothing in it knows about the other but the last lines, which print and save.
import subprocess
import sys
import tempfile
from pathlib import Path

from fashion import images

from learned_affine import LearnedAffineAugment, plots

script = Path("torchrun_fit.py") if Path("torchrun_fit.py").exists() else Path(sys.argv[0]).with_name("torchrun_fit.py")
print(script.read_text())

# %%
# ``torchrun --nproc_per_node 2 torchrun_fit.py augmenter.safetensors``, started from here.
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "augmenter.safetensors"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*torchrun, str(script), str(file)], capture_output=True, text=True)
    print("\n".join(sorted(done.stdout.split("\n"))).strip() or done.stderr)
    augment = LearnedAffineAugment.from_pretrained(file)

# %%
# What came out is one file, as always.
print(augment.history)
figure = plots.plot_before_after(augment, images("train", 23, 28)[0])
