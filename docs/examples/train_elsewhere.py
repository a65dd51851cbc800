"""A small network with batch norm, trained by a plain torch script that knows nothing of lasnn."""

import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
with np.load("data/digits.npz") as file:
    x, y = torch.from_numpy(file["train_images"]).float() / 255, torch.from_numpy(file["train_labels"])
    x_test, y_test = torch.from_numpy(file["test_images"]).float() / 255, torch.from_numpy(file["test_labels"])
x, x_test = (x - 0.5) / 0.25, (x_test - 0.5) / 0.25

net = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
    nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AvgPool2d(2),
    nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AvgPool2d(2),
    nn.Conv2d(32, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(),
    nn.Flatten(), nn.Linear(48 * 16, 10),
)  # fmt: skip
optim = torch.optim.Adam(net.parameters(), 0.003)
for _ in range(5):
    for rows in torch.randperm(len(x)).split(64):
        optim.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optim.step()
net.eval()
with torch.no_grad():
    print(f"{100 * (net(x_test).argmax(1) == y_test).float().mean():.2f} %")
torch.save(net.state_dict(), "mynet.pt")
