from .write import write_folder as write_folder
