"""In the place of our model.py in tests: it computes the requests that Triton batches in one run."""

import numpy as np
import shipped  # our model.py under this name, beside this file
import triton_python_backend_utils as pb_utils


class TritonPythonModel(shipped.TritonPythonModel):
    @staticmethod
    def auto_complete_config(config):
        if config.as_dict()["max_batch_size"]:
            return config
        return shipped.TritonPythonModel.auto_complete_config(config)

    def execute(self, requests):
        names = [tensor.name() for tensor in requests[0].inputs()]
        parts = [[pb_utils.get_input_tensor_by_name(each, name).as_numpy() for each in requests] for name in names]
        feed = {name: np.concatenate(part) for name, part in zip(names, parts, strict=True)}
        outputs = [output.name for output in self.session.get_outputs()]
        values = self.session.run(outputs, feed)
        ends = np.cumsum([len(part) for part in parts[0]])[:-1]
        split = [np.split(value, ends) for value in values]
        return [
            pb_utils.InferenceResponse(
                [shipped.to_triton(name, part[number]) for name, part in zip(outputs, split, strict=True)]
            )
            for number in range(len(requests))
        ]
