"""A small kubelet: beats for one node, runs its pods as local processes, serves their logs.

    python -m testbeds.kubelet settings.json

What it does: env (values, fields, secrets, configMaps), command, args, workingDir; volumes (emptyDir,
hostPath, secret, configMap, downwardAPI, claims on folders); init containers, several containers, every
restartPolicy; readiness probes; grace, deadlines, exit codes; logs with their options; devices by number; an
address of 127/8 for each pod; names of pods with a `subdomain` in /etc/hosts. Annotate a pod with
`testbed/evict` to have it evicted.

What it does not do: pull images (any image is this machine; those of `missing.example/` cannot be pulled),
other probes, lifecycle hooks, exec, services, DNS, limits of memory and CPU. See `containers` for what a
container is. As pods share the machine's network, a server must bind its pod's address, not 0.0.0.0.
"""
