"""Speed and memory of this project's spiking engine beside a kernel floor and two other libraries (README.md)."""
