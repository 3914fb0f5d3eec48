"""The pages of the app, one file each; ``parts`` holds what they are put together from."""
